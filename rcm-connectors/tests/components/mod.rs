//! What the services of the tests have in common: their programs, processes that listen, certificates.
#![allow(dead_code, reason = "each test program uses a part of it")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The program of a component; none, with the reason printed, where it is not installed. In CI it must be.
pub(crate) fn program(path: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components").join(path);
    if program.is_file() {
        return Some(program);
    }
    left_out(&format!("{} (`.ci/components.sh` installs it)", program.display()));
    None
}

/// Says that tests are left out for want of a program. Not in CI, where it must be there.
pub(crate) fn left_out(missing: &str) {
    assert!(std::env::var_os("CI").is_none(), "not installed: {missing}");
    // Not captured: whoever runs the tests sees it.
    let _ = writeln!(std::io::stderr(), "LEFT OUT: not installed: {missing}");
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that listens, until it is dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) port: u16,
}

impl Service {
    pub(crate) fn start(command: &mut Command, port: u16) -> Service {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut service = Service { child, port };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return service;
            }
            assert!(service.child.try_wait().unwrap().is_none(), "{command:?} ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{command:?} does not listen");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A private certificate authority, and a certificate of it for loopback.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    pub(crate) pem: String,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::of(&["127.0.0.1", "localhost"])
    }

    /// For a server of some names.
    pub(crate) fn of(names: &[&str]) -> Authority {
        // Names that differ: OpenSSL takes a certificate for self-signed whose issuer has its name.
        let named = |names: Vec<String>, name: &str| {
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut params = named(Vec::new(), "rcm authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = named(names.iter().map(|name| (*name).to_owned()).collect(), "localhost")
            .signed_by(&key, &authority)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, pem) in [("ca.pem", authority.pem()), ("leaf.pem", leaf.pem()), ("leaf.key", key.serialize_pem())] {
            std::fs::write(folder.path().join(name), pem).unwrap();
        }
        let certificate = authority.der().clone();
        Authority { folder, pem: authority.pem(), certificate, leaf: leaf.der().clone(), key: key.serialize_der() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
