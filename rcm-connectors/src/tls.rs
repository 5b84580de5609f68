//! Whom a connector trusts. A certificate that is not valid is never accepted, and nothing switches that off.

use rcm_core::{Class, Problem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
#[cfg(any(feature = "http", feature = "keyvault"))]
use std::error::Error;
use std::sync::Arc;

/// The system's authorities, and those in PEM beside them.
pub(crate) fn trusting(authorities: Option<&str>) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let bad = || Problem::new(Class::Config, "ca_file", "holds no certificates in PEM");
    if let Some(pem) = authorities {
        let own: Vec<_> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| bad())?;
        if own.is_empty() {
            return Err(bad());
        }
        for certificate in own {
            roots.add(certificate).map_err(|_| bad())?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|e| Problem::storage("TLS", e))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What TLS itself says among the causes of an error, such as that a certificate is not trusted.
#[cfg(any(feature = "http", feature = "keyvault"))]
pub(crate) fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // What HTTP clients wrap twice.
        let io = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = io.map(|inner| inner as &(dyn Error + 'static)).or_else(|| inner.source());
    }
    None
}
