//! Real services on loopback: Azurite (npm), moto (PyPI), an endpoint that gives tokens over TLS. Each is started here on a
//! free port and stopped when it is dropped. `.ci/components.sh` installs what is needed into `target/components`.

use crate::components::{Authority, Service, free_port, program, ring};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// The emulator's account; its key stands in Microsoft's documentation.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// One request: its status.
fn put(port: u16, tls: Option<&Authority>, path: &str) -> u16 {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let answer = match tls {
        None => ask(stream, &request),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).unwrap();
            let config = ClientConfig::builder_with_provider(ring()).with_safe_default_protocol_versions().unwrap();
            let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
            let tls = ClientConnection::new(config, "127.0.0.1".try_into().unwrap()).unwrap();
            ask(StreamOwned::new(tls, stream), &request)
        }
    };
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn ask(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

/// The Azure Blob emulator, with a container `lake`.
pub(crate) struct Azurite {
    service: Service,
    _folder: tempfile::TempDir,
    scheme: &'static str,
}

impl Azurite {
    pub(crate) fn start() -> Option<Azurite> {
        Azurite::serve(None, &[])
    }

    /// Over TLS, where it takes tokens of Entra ID too.
    pub(crate) fn start_tls(authority: &Authority) -> Option<Azurite> {
        let (certificate, key) = (authority.path("leaf.pem"), authority.path("leaf.key"));
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        Azurite::serve(Some(authority), &["--oauth", "basic", "--cert", certificate, "--key", key])
    }

    fn serve(tls: Option<&Authority>, more: &[&str]) -> Option<Azurite> {
        let (program, port) = (program("azurite/node_modules/.bin/azurite-blob")?, free_port());
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]).arg("-l").arg(folder.path());
        command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]).args(more);
        let service = Service::start(&mut command, port);
        let made = put(port, tls, &format!("/{ACCOUNT}/lake?restype=container&{}", account_sas()));
        assert_eq!(made, 201, "no container");
        Some(Azurite { service, _folder: folder, scheme: if tls.is_some() { "https" } else { "http" } })
    }

    pub(crate) fn port(&self) -> u16 {
        self.service.port
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}/{ACCOUNT}", self.scheme, self.service.port)
    }
}

/// A shared access signature of the container, for all that a lake does.
/// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>
pub(crate) fn sas() -> String {
    let signed = format!("racwdl\n\n{EXPIRES}\n/blob/{ACCOUNT}/lake\n\n\n\n{VERSION}\nc\n\n\n\n\n\n");
    format!("sv={VERSION}&sr=c&sp=racwdl&{}", signature(&signed))
}

/// One of the account, by which the container is made. (With it Azurite deletes nothing in batches.)
/// <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>
fn account_sas() -> String {
    let signed = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n{EXPIRES}\n\n\n{VERSION}\n");
    format!("sv={VERSION}&ss=b&srt=sco&sp=rwdlac&{}", signature(&signed))
}

const VERSION: &str = "2018-11-09";
const EXPIRES: &str = "2099-01-01T00:00:00Z";

fn signature(signed: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
    let signature = STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("se={}&sig={signature}", EXPIRES.replace(':', "%3A"))
}

/// An S3 server over TLS (its own token service is there too), with a bucket `lake`.
pub(crate) struct S3(Service);

impl S3 {
    pub(crate) fn start(authority: &Authority) -> Option<S3> {
        let (program, port) = (program("moto/bin/moto_server")?, free_port());
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s"]);
        command.arg("-c").arg(authority.path("leaf.pem")).arg("-k").arg(authority.path("leaf.key"));
        let service = Service::start(&mut command, port);
        assert_eq!(put(port, Some(authority), "/lake"), 200, "no bucket");
        Some(S3(service))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.0.port)
    }
}

/// A line to a port that breaks now and then: behind a request, before its answer.
pub(crate) struct BadLine {
    pub(crate) port: u16,
    /// How often it broke.
    pub(crate) broken: Arc<AtomicUsize>,
}

impl BadLine {
    pub(crate) fn to(port: u16) -> BadLine {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (own, broken, answers) =
            (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = broken.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let (mut to, mut from) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    to.shutdown(Shutdown::Both)
                });
                let (broken, answers) = (counts.clone(), answers.clone());
                std::thread::spawn(move || {
                    let (mut far, mut near, mut bytes) = (far, near, [0; 1 << 16]);
                    while let Ok(n @ 1..) = far.read(&mut bytes) {
                        if answers.fetch_add(1, Ordering::SeqCst) % 13 == 12 {
                            broken.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        if near.write_all(&bytes[..n]).is_err() {
                            break;
                        }
                    }
                    near.shutdown(Shutdown::Both)
                });
            }
        });
        BadLine { port: own, broken }
    }
}

/// What a service says when it is asked for credentials, over TLS if it has a certificate.
pub(crate) struct Answers {
    pub(crate) port: u16,
    /// How often it was asked.
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Answers {
    /// Answers each request with what `answer` makes of it (its head, also in lower case, and its body), as JSON. Its thread ends with the tests.
    pub(crate) fn start(tls: Option<&Authority>, answer: impl Fn(&str) -> String + Send + 'static) -> Answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let config = tls.map(|authority| {
            let config = ServerConfig::builder_with_provider(ring()).with_safe_default_protocol_versions().unwrap();
            let key = PrivatePkcs8KeyDer::from(authority.key.clone()).into();
            Arc::new(config.with_no_client_auth().with_single_cert(vec![authority.leaf.clone()], key).unwrap())
        });
        let counts = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who does not trust us goes away again.
                let _ = match &config {
                    Some(config) => ServerConnection::new(config.clone())
                        .map_err(std::io::Error::other)
                        .and_then(|tls| say(StreamOwned::new(tls, stream), &answer, &counts)),
                    None => say(stream, &answer, &counts),
                };
            }
        });
        Answers { port, asked }
    }
}

fn say(stream: impl Read + Write, answer: &impl Fn(&str) -> String, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    head += &head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    asked.fetch_add(1, Ordering::SeqCst);
    let body = answer(&(head + &String::from_utf8_lossy(&body)));
    let (status, body) = if body.is_empty() { ("404 Not Found", "{}") } else { ("200 OK", body.as_str()) };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A token of Entra ID for storage, as Azurite takes it: it looks at times, issuer and audience, not at the signature.
pub(crate) fn entra_token() -> String {
    let now = now();
    let claims = serde_json::json!({
        "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now - 60, "nbf": now - 60, "exp": now + 3600,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.x", part(&serde_json::json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
    serde_json::json!({"access_token": token, "expires_on": (now + 3600).to_string(), "expires_in": 3600}).to_string()
}
