//! TLS as TDS has it: in 7.4 the handshake goes inside PRELOGIN packets (MS-TDS 3.2.5.1), and in 8.0 TLS is around it all.

use crate::components::{Authority, ring};

use super::packet::{HEADER, PRELOGIN, single};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a certificate authority of a test gave to the server.
#[derive(Debug)]
pub(crate) struct Identity {
    wrapped: Arc<ServerConfig>,
    strict: Arc<ServerConfig>,
}

impl Identity {
    pub(crate) fn new(authority: &Authority) -> Identity {
        let config = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let config = ServerConfig::builder_with_provider(ring()).with_protocol_versions(versions).unwrap();
            let key = PrivateKeyDer::Pkcs8(authority.key.clone().into());
            config.with_no_client_auth().with_single_cert(vec![authority.leaf.clone()], key).unwrap()
        };
        let mut strict = config(&[&rustls::version::TLS13, &rustls::version::TLS12]);
        strict.alpn_protocols = vec![b"tds/8.0".to_vec()];
        // Under TDS 7.4 there is no TLS 1.3: its server still speaks when the client believes the handshake to be over.
        let wrapped = Arc::new(config(&[&rustls::version::TLS12]));
        Identity { wrapped, strict: Arc::new(strict) }
    }
}

/// A line that wraps what goes through it into PRELOGIN packets, until the handshake is over.
#[derive(Debug)]
pub(crate) struct Wrapped<S> {
    line: S,
    wraps: bool,
    header: Vec<u8>,
    left: usize,
    written: Vec<u8>,
    framed: Vec<u8>,
}

/// Accepts TLS 1.2 inside PRELOGIN packets.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    identity: &Identity,
    line: S,
) -> Result<TlsStream<Wrapped<S>>> {
    let wrapped = Wrapped { line, wraps: true, header: Vec::new(), left: 0, written: Vec::new(), framed: Vec::new() };
    let mut stream = TlsAcceptor::from(identity.wrapped.clone()).accept(wrapped).await?;
    let wrapped = stream.get_mut().0;
    debug_assert!(wrapped.written.is_empty() && wrapped.framed.is_empty());
    wrapped.wraps = false;
    Ok(stream)
}

/// Accepts TLS, and that TDS 8.0 is spoken in it.
pub(crate) async fn accept_strict<S: AsyncRead + AsyncWrite + Unpin>(
    identity: &Identity,
    line: S,
) -> Result<TlsStream<S>> {
    let stream = TlsAcceptor::from(identity.strict.clone()).accept(line).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"tds/8.0") => Ok(stream),
        other => Err(Error::new(ErrorKind::InvalidData, format!("ALPN is {other:?}"))),
    }
}

/// The line below, where only the login is encrypted.
pub(crate) fn below<S>(stream: TlsStream<Wrapped<S>>) -> S {
    stream.into_inner().0.line
}

impl<S: AsyncRead + Unpin> AsyncRead for Wrapped<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if !this.wraps {
            return Pin::new(&mut this.line).poll_read(context, to);
        }
        while this.left == 0 {
            let mut bytes = [0; HEADER];
            let mut header = ReadBuf::new(&mut bytes[..HEADER - this.header.len()]);
            ready!(Pin::new(&mut this.line).poll_read(context, &mut header))?;
            if header.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.header.extend(header.filled());
            if let [kind, _, high, low, ..] = this.header[..]
                && this.header.len() == HEADER
            {
                if kind != PRELOGIN {
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "no PRELOGIN packet in a handshake")));
                }
                this.left = usize::from(u16::from_be_bytes([high, low])).saturating_sub(HEADER);
                this.header.clear();
            }
        }
        let mut bytes = vec![0; this.left.min(to.remaining())];
        let mut part = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut this.line).poll_read(context, &mut part))?;
        let read = part.filled().len();
        to.put_slice(part.filled());
        this.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wrapped<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if !this.wraps {
            return Pin::new(&mut this.line).poll_write(context, bytes);
        }
        this.written.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// What was written since the last flush goes out as messages of one packet.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        for part in std::mem::take(&mut this.written).chunks(super::packet::FIRST_SIZE - HEADER) {
            this.framed.extend(single(PRELOGIN, part));
        }
        while !this.framed.is_empty() {
            let written = ready!(Pin::new(&mut this.line).poll_write(context, &this.framed))?;
            this.framed.drain(..written);
        }
        Pin::new(&mut this.line).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().line).poll_shutdown(context)
    }
}
