//! Requests and answers as bytes on a connection.

use super::{End, Framing, Manner, Order, Request, Response, Shared, Then};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// More than a head, or a body, of a request may have.
const TOO_MUCH: usize = 1 << 20;

pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Line for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Line for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Counts an answer that is underway, also one that ends in the middle.
struct Underway<'a>(&'a Shared);

impl<'a> Underway<'a> {
    fn begin(shared: &'a Shared) -> Underway<'a> {
        let now = shared.underway.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Underway(shared)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.underway.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers the requests of a connection until it ends.
pub(super) async fn talk(shared: &Shared, connection: usize, mut line: impl Line) -> io::Result<()> {
    let mut bytes = Vec::new();
    while let Some(request) = receive(&mut line, &mut bytes, connection).await? {
        let underway = Underway::begin(shared);
        let request = {
            let mut requests = shared.requests();
            let request = Arc::new(Request { number: requests.len(), ..request });
            requests.push(request.clone());
            request
        };
        let answer = (shared.handler)(&request);
        tokio::time::sleep(answer.delay).await;
        let asks_close = request.header("connection").is_some_and(|wish| wish.eq_ignore_ascii_case("close"));
        let then = if asks_close && answer.then == Then::Keep { Then::Close } else { answer.then };
        if let Then::Refuse(_) = then {
            // Who has the answer shall find nobody any more.
            let (done, wait) = std::sync::mpsc::channel();
            let _ = shared.orders.send((Order::Deafen, Some(done)));
            while wait.try_recv() == Err(TryRecvError::Empty) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let goes_on = send(&mut line, &answer, then, request.method == "HEAD").await?;
        drop(underway);
        if let Then::Refuse(time) = then {
            let _ = shared.orders.send((Order::Refuse(Some(time)), None));
        }
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// The next request; none when the client has ended, or says what is no request.
async fn receive(line: &mut impl Line, bytes: &mut Vec<u8>, connection: usize) -> io::Result<Option<Request>> {
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes.drain(..end + 4).collect::<Vec<u8>>()).into_owned();
        }
        if !more(line, bytes).await? {
            return Ok(None);
        }
    };
    let Some(mut request) = parse(&head, connection) else { return Ok(None) };
    let length = request.header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
    while bytes.len() < length {
        if !more(line, bytes).await? {
            return Ok(None);
        }
    }
    request.body = bytes.drain(..length).collect();
    Ok(Some(request))
}

async fn more(line: &mut impl Line, bytes: &mut Vec<u8>) -> io::Result<bool> {
    Ok(bytes.len() < TOO_MUCH && line.read_buf(bytes).await? > 0)
}

fn parse(head: &str, connection: usize) -> Option<Request> {
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    first.next().filter(|version| version.starts_with("HTTP/1."))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some(Request {
        number: 0,
        connection,
        at: Instant::now(),
        method,
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: lines.map(header).collect::<Option<Vec<_>>>()?,
        body: Vec::new(),
    })
}

/// Whether the connection goes on.
async fn send(line: &mut impl Line, answer: &Response, then: Then, is_head: bool) -> io::Result<bool> {
    let (body, framing) = match answer.manner {
        Manner::Endless => (answer.body.clone(), Framing::Chunked),
        _ if answer.framing == Framing::Chunked => (chunks(&answer.body), Framing::Chunked),
        _ => (answer.body.clone(), answer.framing),
    };
    let head = head(answer, framing, then);
    if let Manner::Ends(None, end) = answer.manner {
        return ended(line, end).await;
    }
    line.write_all(head.as_bytes()).await?;
    if is_head {
        line.flush().await?;
        return Ok(then == Then::Keep);
    }
    match answer.manner {
        Manner::Whole | Manner::Ends(None, _) => line.write_all(&body).await?,
        Manner::Ends(Some(behind), end) => {
            line.write_all(&body[..behind.min(body.len())]).await?;
            return ended(line, end).await;
        }
        Manner::Slow(pause) => {
            for byte in &body {
                tokio::time::sleep(pause).await;
                line.write_all(&[*byte]).await?;
                line.flush().await?;
            }
        }
        Manner::Endless => {
            let mut piece = Vec::new();
            while piece.len() < 1 << 16 {
                piece.extend_from_slice(if body.is_empty() { b" " } else { &body });
            }
            let chunk = chunk(&piece);
            loop {
                line.write_all(&chunk).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    line.flush().await?;
    let is_over = then != Then::Keep || framing == Framing::Close;
    if is_over {
        line.shutdown().await?;
    }
    Ok(!is_over)
}

async fn ended(line: &mut impl Line, end: End) -> io::Result<bool> {
    line.flush().await?;
    match end {
        End::Reset => {
            // What was sent before shall arrive.
            tokio::time::sleep(Duration::from_millis(20)).await;
            line.tcp().set_zero_linger()?;
        }
        End::Closed => line.shutdown().await?,
        End::Dumb => while line.read(&mut [0; 1024]).await? > 0 {},
    }
    Ok(false)
}

fn head(answer: &Response, framing: Framing, then: Then) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    line("Date", &chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    answer.headers.iter().for_each(|(name, value)| line(name, value));
    match framing {
        Framing::Length => line("Content-Length", &answer.body.len().to_string()),
        Framing::Claimed(length) => line("Content-Length", &length.to_string()),
        Framing::Chunked => line("Transfer-Encoding", "chunked"),
        Framing::Close => {}
    }
    if then != Then::Keep || framing == Framing::Close {
        line("Connection", "close");
    }
    head + "\r\n"
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut chunked: Vec<u8> = body.chunks(1000).flat_map(chunk).collect();
    chunked.extend_from_slice(b"0\r\n\r\n");
    chunked
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
