//! An HTTP/1.1 server on loopback, plain or over TLS, written by hand: it must be able to misbehave.
//!
//! A [`Handler`] gives the answer to each request; how the answer goes over the line is a part of it ([`Framing`],
//! [`Manner`], [`Then`]). The server has a thread and a runtime of its own, so a test that blocks does not stop it, and
//! ends when it is dropped.

mod wire;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which one it is, from 0, in the order in which they came.
    pub(crate) number: usize,
    /// On which connection, from 0.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// As it was written.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A parameter that says something.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let given = self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        given.filter(|value| !value.is_empty())
    }

    /// The fields of a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    /// A `Content-Length` that is somebody's claim.
    Claimed(usize),
    Chunked,
    /// The connection ends.
    Close,
}

/// How an answer goes over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Whole,
    /// It ends behind so many bytes of the body; none: before the first byte of the head.
    Ends(Option<usize>, End),
    /// The body byte by byte, with a pause before each.
    Slow(Duration),
    /// The body again and again, some 30 MB a second.
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is reset.
    Reset,
    /// It is closed in order.
    Closed,
    /// It stands, and nothing comes any more.
    Dumb,
}

/// What comes behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Keep,
    Close,
    /// All connections are closed, and new ones refused for so long.
    Refuse(Duration),
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    pub(crate) manner: Manner,
    pub(crate) then: Then,
    /// How long the server thinks.
    pub(crate) delay: Duration,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        let (framing, manner, then) = (Framing::Length, Manner::Whole, Then::Keep);
        Response { status, headers, body: body.into(), framing, manner, then, delay: Duration::ZERO }
    }

    pub(crate) fn json(value: &serde_json::Value) -> Response {
        Response::new(200, "application/json; charset=utf-8", value.to_string())
    }

    /// Sets a header, in place of what it was.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Response {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn manner(self, manner: Manner) -> Response {
        Response { manner, ..self }
    }

    /// The body packed by gzip.
    pub(crate) fn gzip(mut self) -> Response {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&self.body).unwrap();
        self.body = packed.finish().unwrap();
        self.with("Content-Encoding", "gzip").with("Vary", "Accept-Encoding")
    }
}

pub(crate) type Handler = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A handler whose answers are packed for those who take that.
pub(crate) fn packing(inner: Handler) -> Handler {
    Arc::new(move |request: &Request| {
        let takes = request.header("accept-encoding").is_some_and(|takes| takes.contains("gzip"));
        let answer = inner(request);
        if takes { answer.gzip() } else { answer }
    })
}

/// A handler behind a gate that wants a key.
pub(crate) fn guarded(key: &str, inner: Handler) -> Handler {
    let wanted = format!("Bearer {key}");
    Arc::new(move |request: &Request| match request.header("authorization") {
        Some(given) if given == wanted => inner(request),
        _ => Response::new(401, "text/plain", "").with("WWW-Authenticate", "Bearer"),
    })
}

/// A handler that has too much to do behind so many requests below a path.
pub(crate) fn limited(path: &'static str, left: Arc<AtomicUsize>, inner: Handler) -> Handler {
    Arc::new(move |request: &Request| {
        let take = |left: usize| left.checked_sub(usize::from(request.path.starts_with(path)));
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => inner(request),
            Err(_) => Response::new(503, "text/plain", ""),
        }
    })
}

enum Order {
    Listen,
    /// Connections that stand go on, new ones are refused.
    Deafen,
    /// All are closed, for so long; none: until it is to listen again.
    Refuse(Option<Duration>),
    End,
}

/// An order, and where to say that it is carried out.
type Told = (Order, Option<std::sync::mpsc::Sender<()>>);

struct Shared {
    handler: Handler,
    acceptor: Option<TlsAcceptor>,
    requests: Mutex<Vec<Arc<Request>>>,
    connections: AtomicUsize,
    underway: AtomicUsize,
    most: AtomicUsize,
    orders: UnboundedSender<Told>,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that listens, until it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn plain(handler: Handler) -> Server {
        Server::start(handler, None)
    }

    /// Over TLS, with a certificate and its key (PKCS #8).
    pub(crate) fn tls(handler: Handler, leaf: &CertificateDer<'static>, key: &[u8]) -> Server {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(vec![leaf.clone()], key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Server::start(handler, Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn start(handler: Handler, acceptor: Option<TlsAcceptor>) -> Server {
        let (orders, given) = unbounded_channel();
        let zero = AtomicUsize::default;
        let requests = Mutex::default();
        let (connections, underway, most) = (zero(), zero(), zero());
        let shared = Arc::new(Shared { handler, acceptor, requests, connections, underway, most, orders });
        let (tell, port) = std::sync::mpsc::channel();
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let socket = bound(0);
                let address = socket.local_addr().unwrap();
                let listener = socket.listen(1024).unwrap();
                tell.send(address.port()).unwrap();
                accept(served, listener, address.port(), given).await;
            });
        });
        Server { port: port.recv().unwrap(), shared, thread: Some(thread) }
    }

    /// Its address, without a slash at the end.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.shared.acceptor.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// All requests until now.
    pub(crate) fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.requests().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many requests were being answered at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Closes all connections and refuses new ones, for so long or until [`Server::listen`].
    pub(crate) fn refuse(&self, time: Option<Duration>) {
        self.order(Order::Refuse(time));
    }

    pub(crate) fn listen(&self) {
        self.order(Order::Listen);
    }

    /// Returns when it is done.
    fn order(&self, order: Order) {
        let (done, wait) = std::sync::mpsc::channel();
        self.shared.orders.send((order, Some(done))).unwrap();
        wait.recv().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.shared.orders.send((Order::End, None));
        let _ = self.thread.take().unwrap().join();
    }
}

/// A socket that has its port and does not listen: who connects is refused, and nobody else gets the port.
fn bound(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    socket
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, port: u16, mut orders: UnboundedReceiver<Told>) {
    let (mut listener, mut held, mut until) = (Some(listener), None, None);
    let mut connections = JoinSet::new();
    loop {
        let order = match (&listener, until) {
            (Some(listening), _) => tokio::select! {
                order = orders.recv() => order,
                near = listening.accept() => {
                    if let Ok((near, _)) = near {
                        connections.spawn(connection(shared.clone(), near));
                    }
                    continue;
                }
                Some(_) = connections.join_next() => continue,
            },
            (None, None) => orders.recv().await,
            (None, Some(until)) => {
                tokio::time::timeout_at(until, orders.recv()).await.unwrap_or(Some((Order::Listen, None)))
            }
        };
        let Some((order, done)) = order else { return };
        match order {
            Order::Refuse(time) => {
                drop(listener.take());
                connections.shutdown().await;
                held = held.or_else(|| Some(bound(port)));
                until = time.map(|time| tokio::time::Instant::now() + time);
            }
            Order::Deafen => {
                drop(listener.take());
                held = held.or_else(|| Some(bound(port)));
                until = None;
            }
            Order::Listen => {
                if let Some(socket) = held.take() {
                    listener = Some(socket.listen(1024).unwrap());
                }
            }
            Order::End => return,
        }
        let _ = done.map(|done| done.send(()));
    }
}

async fn connection(shared: Arc<Shared>, near: TcpStream) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    let _ = near.set_nodelay(true);
    // What a client does to its connection is no fault of the server.
    let _ = match shared.acceptor.clone() {
        None => wire::talk(&shared, number, near).await,
        Some(acceptor) => match acceptor.accept(near).await {
            Ok(near) => wire::talk(&shared, number, near).await,
            Err(e) => Err(e),
        },
    };
}
