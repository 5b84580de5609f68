//! Why there is no secret, in words of our own: the client's repeat answers, and questions.

use super::Reference;
use crate::tls::refusal;
use azure_core::error::{Error, ErrorKind};
use rcm_core::{Class, Problem};

pub(super) const AWAY: &str =
    "run again later; if it lasts, look whether the vault's name is right, and what stands between it and rcm";

/// What went wrong.
#[derive(Debug)]
enum Why {
    Tls(String),
    Status(u16),
    /// What came is none of its answers.
    Answer,
    Line,
    Other,
}

/// Why there is no secret.
#[derive(Debug)]
pub(super) struct Failed {
    why: Why,
    /// Whether it is who gives out tokens, and not the vault.
    is_identity: bool,
}

impl Failed {
    pub(super) fn new(error: &Error) -> Failed {
        let mut failed = Failed { why: Why::Other, is_identity: false };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            match inner.downcast_ref::<Error>().map(Error::kind) {
                Some(ErrorKind::HttpResponse { status, .. }) => failed.why = Why::Status(u16::from(*status)),
                Some(ErrorKind::Connection | ErrorKind::Io) => failed.why = Why::Line,
                Some(ErrorKind::DataConversion) => failed.why = Why::Answer,
                Some(ErrorKind::Credential) => failed.is_identity = true,
                _ => {}
            }
            cause = inner.source();
        }
        if let Some(tls) = refusal(error) {
            failed.why = Why::Tls(tls.to_string());
        }
        failed
    }

    /// What an identity says before it asks anybody.
    pub(super) fn of_identity(error: &Error) -> Failed {
        let why = if matches!(error.kind(), ErrorKind::Credential) { Why::Other } else { Failed::new(error).why };
        Failed { why, is_identity: true }
    }

    /// Whether the vault may not like the token, which was good before.
    pub(super) fn may_be_the_token(&self) -> bool {
        !self.is_identity && matches!(self.why, Why::Status(401) | Why::Answer)
    }

    pub(super) fn of(self, reference: &Reference) -> Problem {
        let who = if self.is_identity { "who gives out tokens" } else { "the vault" };
        let (class, what, hint) = match (self.why, self.is_identity) {
            (Why::Tls(what), _) => {
                let hint = "name the file of the authority of its certificate in SSL_CERT_FILE";
                (Class::Failed, format!("no trusted connection to {who}: {what}"), hint)
            }
            (Why::Status(400 | 401 | 403), true) => {
                let hint = "look at AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE; \
                            where none is set, at the managed identity of this machine";
                (Class::Failed, "no token is given to this identity".to_owned(), hint)
            }
            (Why::Status(401 | 403), false) => {
                let hint = "give this identity the role Key Vault Secrets User, and let the vault's firewall allow this machine; a \
                            secret that is disabled or out of its time is refused too";
                (Class::Failed, "the vault refuses this identity".to_owned(), hint)
            }
            (Why::Status(404), false) => {
                (Class::Failed, "there is no such secret".to_owned(), "look at its name: az keyvault secret list")
            }
            (Why::Status(code), _) => {
                let class = if matches!(code, 408 | 429 | 500..) { Class::Temporary } else { Class::Failed };
                (class, format!("{who} answers with status {code}"), AWAY)
            }
            (Why::Answer, _) => (Class::Temporary, format!("{who} answers with what is none of its answers"), AWAY),
            (Why::Line, _) => (Class::Temporary, format!("{who} cannot be reached"), AWAY),
            (Why::Other, true) => {
                let hint =
                    "look at AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_AUTHORITY_HOST and AZURE_FEDERATED_TOKEN_FILE";
                (Class::Failed, "the identity is not told rightly".to_owned(), hint)
            }
            (Why::Other, false) => {
                let hint = "look at the vault's host: what answers there wants a token of another service";
                (Class::Failed, "it is no vault".to_owned(), hint)
            }
        };
        reference.problem(class, &what, hint)
    }
}
