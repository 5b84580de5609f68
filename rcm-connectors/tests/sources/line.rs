//! A line to a server that breaks, or goes dumb, behind so many bytes of its answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is reset.
    Broken,
    /// It stands, and nothing comes any more.
    Dumb,
}

/// A line passes on at once what it gets, however little.
fn join(near: &TcpStream, to: u16) -> Option<TcpStream> {
    let far = TcpStream::connect(("127.0.0.1", to)).ok()?;
    near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).ok()?;
    Some(far)
}

/// The port of a line on which all connections together get so many bytes. Its threads end with the tests.
pub(crate) fn line(to: u16, bytes: usize, end: End) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicUsize::new(bytes));
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Some(far) = join(&near, to) else { return };
            let left = left.clone();
            let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut up, &mut down);
                down.shutdown(Shutdown::Both)
            });
            std::thread::spawn(move || {
                let (mut far, mut near, mut bytes) = (far, near, [0; 1 << 14]);
                while let Ok(n @ 1..) = far.read(&mut bytes) {
                    let before =
                        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(n)));
                    let may = before.unwrap().min(n);
                    if near.write_all(&bytes[..may]).is_err() {
                        break;
                    }
                    if may < n {
                        if end == End::Dumb {
                            loop {
                                std::thread::park();
                            }
                        }
                        break;
                    }
                }
                let _ = far.shutdown(Shutdown::Both);
                near.shutdown(Shutdown::Both)
            });
        }
    });
    port
}

/// The port of a line on which whatever a client says takes so long to arrive.
pub(crate) fn slow(to: u16, pause: std::time::Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Some(far) = join(&near, to) else { return };
            let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut bytes = [0; 1 << 14];
                while let Ok(n @ 1..) = up.read(&mut bytes) {
                    std::thread::sleep(pause);
                    if down.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                down.shutdown(Shutdown::Both)
            });
            std::thread::spawn(move || {
                let (mut far, mut near) = (far, near);
                let _ = std::io::copy(&mut far, &mut near);
                near.shutdown(Shutdown::Both)
            });
        }
    });
    port
}

/// What a server said on each connection, cut where the client spoke.
pub(crate) type Said = Arc<std::sync::Mutex<Vec<Vec<Vec<u8>>>>>;

/// The port of a line that keeps what the server says.
pub(crate) fn record(to: u16) -> (u16, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, said) = (listener.local_addr().unwrap().port(), Said::default());
    let kept = said.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Some(far) = join(&near, to) else { return };
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(Vec::new());
                kept.len() - 1
            };
            let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let of = kept.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 1 << 14];
                while let Ok(n @ 1..) = up.read(&mut bytes) {
                    {
                        let mut kept = of.lock().unwrap();
                        if kept[number].last().is_none_or(|last| !last.is_empty()) {
                            kept[number].push(Vec::new());
                        }
                    }
                    if down.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                down.shutdown(Shutdown::Both)
            });
            let of = kept.clone();
            std::thread::spawn(move || {
                let (mut far, mut near, mut bytes) = (far, near, [0; 1 << 16]);
                while let Ok(n @ 1..) = far.read(&mut bytes) {
                    of.lock().unwrap()[number].last_mut().unwrap().extend_from_slice(&bytes[..n]);
                    if near.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                near.shutdown(Shutdown::Both)
            });
        }
    });
    (port, said)
}

/// The port of a server that says again what was kept, to a client that says the same: an answer for each message of TDS.
pub(crate) fn replay(said: Vec<Vec<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for answers in said {
            let Ok((mut line, _)) = listener.accept() else { return };
            for answer in answers {
                // Packets, until one says that it is the last.
                loop {
                    let mut header = [0; 8];
                    if line.read_exact(&mut header).is_err() {
                        break;
                    }
                    let mut body = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 8];
                    if line.read_exact(&mut body).is_err() || header[1] & 1 == 1 {
                        break;
                    }
                }
                if line.write_all(&answer).is_err() {
                    break;
                }
            }
        }
    });
    port
}
