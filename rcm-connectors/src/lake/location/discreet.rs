//! A store whose errors do not tell its keys.
//!
//! object_store keeps a signature out of most errors, but not out of those of an Azure batch (0.13.2: the URL of a bulk
//! delete, `sig=…` and all). Whatever holds a secret loses its words here.

use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::Arc;

/// The store, and what must not be told.
#[derive(Clone)]
pub(super) struct Discreet<S> {
    store: S,
    secrets: Arc<[String]>,
}

impl<S> Discreet<S> {
    /// `secrets`: values of secret options. Of a signed URL's parameters it is the signature that is one.
    pub(super) fn new(store: S, secrets: impl Iterator<Item = String>) -> Self {
        let parts = |value: String| match value.split_once("sig=") {
            Some((_, rest)) => {
                let encoded = rest.split('&').next().unwrap_or(rest).to_owned();
                let decoded =
                    url::form_urlencoded::parse(encoded.as_bytes()).map(|(signature, _)| signature.into_owned());
                decoded.chain([encoded.clone()]).collect()
            }
            None => vec![value],
        };
        let secrets = secrets.flat_map(parts).filter(|secret| !secret.is_empty()).collect();
        Discreet { store, secrets }
    }

    fn told(&self, error: Error) -> Error {
        discreet(&self.secrets, error)
    }

    fn all<T: Send + 'static>(&self, stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let secrets = self.secrets.clone();
        stream.map(move |item| item.map_err(|error| discreet(&secrets, error))).boxed()
    }
}

fn discreet(secrets: &[String], error: Error) -> Error {
    let said = format!("{error} {error:?}");
    if !secrets.iter().any(|secret| said.contains(secret)) {
        return error;
    }
    let source = "the request failed (its words hold a secret, and are left out)".into();
    match error {
        Error::NotFound { path, .. } => Error::NotFound { path, source },
        Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source },
        _ => Error::Generic { store: "cloud store", source },
    }
}

impl<S> fmt::Debug for Discreet<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Discreet")
    }
}

impl<S: fmt::Display> fmt::Display for Discreet<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl<S: ObjectStore> ObjectStore for Discreet<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, opts).map_err(|e| self.told(e)).await
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
