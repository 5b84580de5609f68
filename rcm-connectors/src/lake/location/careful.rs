//! A cloud store as the lake needs it: puts that are tried again, and errors that do not tell keys.
//!
//! object_store (0.13.2) tries a put that must not overwrite again after a status of 5xx, but not after a time-out or a
//! broken connection, since it might have been done. Here it is: whoever is then told that the name is taken reads what
//! stands there, and knows its own. S3 answers 409 too where two such puts meet and nothing need stand there yet.
//! And it keeps a signature out of most errors, but not out of those of an Azure batch (the URL of a bulk delete, `sig=…`
//! and all).

use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Careful<S> {
    store: S,
    /// What must not be told, in every spelling.
    secrets: Arc<[String]>,
    budget: Duration,
}

impl<S> Careful<S> {
    /// `secrets`: values of options that hold some. Of a signed URL's parameters it is the signature that is one.
    pub(super) fn new(store: S, secrets: impl Iterator<Item = String>, budget: Duration) -> Self {
        let secrets = secrets.flat_map(spellings).filter(|secret| !secret.is_empty()).collect();
        Careful { store, secrets, budget }
    }

    fn told(&self, error: Error) -> Error {
        discreet(&self.secrets, error)
    }

    fn all<T: Send + 'static>(&self, stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let secrets = self.secrets.clone();
        stream.map(move |item| item.map_err(|error| discreet(&secrets, error))).boxed()
    }
}

/// As given, decoded, and as a URL would have it.
fn spellings(value: String) -> Vec<String> {
    let secret = match value.split_once("sig=") {
        Some((_, rest)) => rest.split('&').next().unwrap_or(rest).to_owned(),
        None => value,
    };
    // A form's `+` is a space; here it is itself.
    let plus = secret.replace('+', "%2B");
    let decoded: String =
        url::form_urlencoded::parse(format!("={plus}").as_bytes()).map(|(_, v)| v.into_owned()).collect();
    let encoded = url::form_urlencoded::byte_serialize(decoded.as_bytes()).collect();
    vec![secret, decoded, encoded]
}

fn discreet(secrets: &[String], error: Error) -> Error {
    let said = format!("{error} {error:?}");
    if !secrets.iter().any(|secret| said.contains(secret)) {
        return error;
    }
    let source = secrets.iter().fold(error.to_string(), |said, secret| said.replace(secret, "…")).into();
    match error {
        Error::NotFound { path, .. } => Error::NotFound { path, source },
        Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source },
        Error::PermissionDenied { path, .. } => Error::PermissionDenied { path, source },
        Error::Unauthenticated { path, .. } => Error::Unauthenticated { path, source },
        _ => Error::Generic { store: "cloud store", source },
    }
}

fn late() -> Error {
    Error::Generic { store: "cloud store", source: "no answer within retry_budget".into() }
}

/// Whether a request may have failed on its way: what became of it is not known.
fn is_of_the_way(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            use HttpErrorKind::{Connect, Interrupted, Request, Timeout};
            return matches!(http.kind(), Connect | Interrupted | Request | Timeout);
        }
        next = error.source();
    }
    false
}

impl<S> fmt::Debug for Careful<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Careful")
    }
}

impl<S: fmt::Display> fmt::Display for Careful<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl<S: ObjectStore> ObjectStore for Careful<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (started, mut pause) = (Instant::now(), SHORTEST_PAUSE);
        loop {
            let left = self.budget.saturating_sub(started.elapsed());
            let put = timeout(left, self.store.put_opts(location, payload.clone(), opts.clone())).await;
            let failed = match put.unwrap_or_else(|_| Err(late())) {
                Err(error) if opts.mode == PutMode::Create => error,
                put => return put.map_err(|e| self.told(e)),
            };
            let failed = match failed {
                Error::AlreadyExists { path, source } => match self.store.head(location).await {
                    // Another put met ours: neither need stand there.
                    Err(Error::NotFound { .. }) => Error::Generic { store: "cloud store", source },
                    _ => return Err(self.told(Error::AlreadyExists { path, source })),
                },
                error if is_of_the_way(&error) => error,
                error => return Err(self.told(error)),
            };
            if started.elapsed() + pause > self.budget {
                return Err(self.told(failed));
            }
            // Two that met do not meet again.
            let chance = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
            sleep(pause / 2 + pause * chance / 255).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, opts).map_err(|e| self.told(e)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut got = self.store.get_opts(location, options).map_err(|e| self.told(e)).await?;
        got.payload = match got.payload {
            GetResultPayload::Stream(stream) => GetResultPayload::Stream(self.all(stream)),
            file => file,
        };
        // PrefixStore leaves its prefix in it.
        got.meta.location = location.clone();
        Ok(got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.all(self.store.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.all(self.store.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.all(self.store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).map_err(|e| self.told(e)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).map_err(|e| self.told(e)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_not_told_in_any_spelling() {
        for given in ["sv=1&sig=ab%2B%2Fc%3D&se=2", "sv=1&sig=ab%2b%2fc%3d", "?sig=ab+/c=", "sig=ab+/c%3D&sp=r"] {
            let secrets: Vec<String> = spellings(given.to_owned());
            for told in ["https://h/c?sig=ab%2B%2Fc%3D&x", "sig ab+/c= is wrong"] {
                let error = Error::PermissionDenied { path: "p".to_owned(), source: told.into() };
                let error = discreet(&secrets, error);
                assert!(
                    !format!("{error:?}").contains("c%3D") && !format!("{error}").contains("c="),
                    "{given}: {error:?}"
                );
                assert!(matches!(error, Error::PermissionDenied { .. }) && error.to_string().contains('…'));
            }
        }
        let other = Error::Generic { store: "s", source: "nothing of it".into() };
        assert_eq!(discreet(&spellings("sig=abc".to_owned()), other).to_string(), "Generic s error: nothing of it");
    }
}
