// SPDX-License-Identifier: Apache-2.0
//! Objects in an S3-compatible bucket.
//!
//! Requests time out, are tried again with growing waits, and fail as [`basics::Kind::Retry`] then.
//! What is larger than a part is uploaded in parts; an upload that is not finished is aborted.
//! Whether the server honours `If-None-Match: *` is tried when a writer connects: where it does not,
//! that is told loudly, and the id of the writer, of which there must be one process only, is
//! what keeps commits apart.
//!
//! Calls block their thread, on whatever runtime it may be; requests run on a runtime of their own.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use basics::{Error, Random, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use super::{Listed, ObjectWriter, Objects, gone};

/// A part of an upload: S3 wants 5 MiB at least, and at most 10,000 parts: 80 GiB a block.
const PART_BYTES: usize = 8 << 20;

/// One request, with its body: a part over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// All tries of one request together.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the bucket is and who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// Before all paths; may be empty.
    pub prefix: String,
    /// Another server than Amazon's: `http://host:port`.
    pub endpoint: String,
    /// Region; `us-east-1` where the server does not care.
    pub region: String,
    /// Key id; empty = as the environment says (`AWS_ACCESS_KEY_ID`, instance roles).
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// `bucket.host` instead of `host/bucket`.
    pub virtual_hosted: bool,
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let S3Options { bucket, prefix, endpoint, region, .. } = self;
        write!(f, "S3Options {{ {endpoint} {region} {bucket}/{prefix} }}")
    }
}

/// Objects in a bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: AmazonS3,
    prefix: String,
    runtime: Option<Runtime>,
    /// The server overwrites whatever the condition.
    unconditional: AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The last one may go from within a runtime, which must not wait for another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when the options are not such that a request could be made.
    pub fn new(options: &S3Options) -> Result<S3> {
        let client = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(Duration::from_secs(5))
            .with_allow_http(options.endpoint.starts_with("http://"));
        let retry =
            RetryConfig { max_retries: 4, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let given = !options.access_key_id.is_empty();
        let mut builder = if given { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
        builder = builder
            .with_bucket_name(&options.bucket)
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_client_options(client)
            .with_retry(retry);
        if !options.region.is_empty() {
            builder = builder.with_region(&options.region);
        }
        if !options.endpoint.is_empty() {
            builder = builder.with_endpoint(&options.endpoint);
        }
        if given {
            builder = builder
                .with_access_key_id(&options.access_key_id)
                .with_secret_access_key(&options.secret_access_key);
        }
        let store = builder.build().map_err(|e| Error::invalid("no S3 client").caused_by(e))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-s3")
            .enable_all()
            .build()
            .map_err(|e| Error::retry("no runtime for S3").caused_by(e))?;
        let prefix = options.prefix.trim_matches('/').to_owned();
        let (runtime, unconditional) = (Some(runtime), AtomicBool::new(false));
        Ok(S3 { shared: Arc::new(Shared { store, prefix, runtime, unconditional }) })
    }

    /// Finds out whether the server honours conditional puts; for writers.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when it cannot be reached or refuses.
    pub fn probe(&self) -> Result<()> {
        let path = format!("probe/{:016x}", Random::from_os().next_u64());
        self.put_if_absent(&path, b"1")?;
        let overwritten = self.put_if_absent(&path, b"2")?;
        self.delete(&path)?;
        if overwritten {
            self.shared.unconditional.store(true, Ordering::Relaxed);
            tracing::warn!(
                "this object store ignores If-None-Match: make sure that no two processes have \
                 the same writer id"
            );
        }
        Ok(())
    }

    fn path(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.shared.prefix))
    }

    /// Runs a request on the runtime of this store, and waits for it without any.
    fn wait<T, F>(&self, work: impl FnOnce(AmazonS3) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let closed = || Error::closed("the S3 client is closed");
        let runtime = self.shared.runtime.as_ref().ok_or_else(closed)?;
        let (done, result) = std::sync::mpsc::sync_channel(1);
        let work = work(self.shared.store.clone());
        runtime.spawn(async move {
            // Nobody waits any more only when the waiting thread is gone.
            let _ = done.send(work.await);
        });
        result.recv().map_err(|_| closed())
    }
}

fn failed(what: &str, path: &str, error: object_store::Error) -> Error {
    Error::retry(format!("cannot {what} object {path}")).caused_by(error)
}

impl Objects for S3 {
    fn create(&self, path: &str) -> Result<Box<dyn ObjectWriter>> {
        let (buffer, bytes) = (Vec::new(), 0);
        Ok(Box::new(Upload { s3: self.clone(), path: path.to_owned(), buffer, bytes, parts: None }))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (to, payload) = (self.path(path), PutPayload::from(bytes.to_vec()));
        let put = self.wait(|store| async move { store.put(&to, payload).await })?;
        put.map(|_| ()).map_err(|e| failed("write", path, e))
    }

    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        if self.shared.unconditional.load(Ordering::Relaxed) && self.get(path)?.is_some() {
            return Ok(false);
        }
        let (to, payload) = (self.path(path), PutPayload::from(bytes.to_vec()));
        let put = self.wait(|store| async move {
            store.put_opts(&to, payload, PutMode::Create.into()).await
        })?;
        match put {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(error) => Err(failed("write", path, error)),
        }
    }

    fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let from = self.path(path);
        let got = self.wait(|store| async move { store.get(&from).await?.bytes().await })?;
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", path, error)),
        }
    }

    fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let mut parts = self.get_ranges(path, std::slice::from_ref(&range))?;
        parts.pop().ok_or_else(|| super::short(path, &range))
    }

    fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (from, wanted) = (self.path(path), ranges.to_vec());
        // An empty range is no request.
        let asked: Vec<Range<u64>> =
            wanted.iter().filter(|range| range.start < range.end).cloned().collect();
        let got = self.wait(|store| async move {
            match asked.is_empty() {
                true => Ok(Vec::new()),
                false => store.get_ranges(&from, &asked).await,
            }
        })?;
        let mut got = match got {
            Ok(parts) => parts.into_iter(),
            Err(object_store::Error::NotFound { .. }) => return Err(gone(path)),
            Err(error) => return self.beyond_end(path, ranges, error),
        };
        let part = |range: &Range<u64>| {
            let bytes = if range.start < range.end { got.next() } else { Some(Bytes::new()) };
            bytes
                .filter(|bytes| bytes.len() as u64 == range.end.saturating_sub(range.start))
                .ok_or_else(|| super::short(path, range))
        };
        ranges.iter().map(part).collect()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let below = self.path(prefix);
        let listed = self
            .wait(|store| async move { store.list(Some(&below)).try_collect::<Vec<_>>().await })?;
        let listed = listed.map_err(|e| failed("list", prefix, e))?;
        let own = format!("{}/", self.shared.prefix);
        let own = own.trim_start_matches('/');
        let mut found: Vec<Listed> = listed
            .into_iter()
            .map(|object| {
                let path = object.location.as_ref();
                let path = path.strip_prefix(own).unwrap_or(path).to_owned();
                Listed { path, bytes: object.size }
            })
            .collect();
        found.sort();
        Ok(found)
    }

    fn delete(&self, path: &str) -> Result<()> {
        let at = self.path(path);
        match self.wait(|store| async move { store.delete(&at).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", path, error)),
        }
    }
}

impl S3 {
    /// A read that failed: for good when the object is too short for it.
    fn beyond_end(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        error: object_store::Error,
    ) -> Result<Vec<Bytes>> {
        let at = self.path(path);
        match self.wait(|store| async move { store.head(&at).await })? {
            Ok(head) => match ranges.iter().find(|range| range.end > head.size) {
                Some(range) => Err(super::short(path, range)),
                None => Err(failed("read", path, error)),
            },
            Err(object_store::Error::NotFound { .. }) => Err(gone(path)),
            Err(_) => Err(failed("read", path, error)),
        }
    }
}

/// An object being written: whole when it is small, in parts when it is not.
struct Upload {
    s3: S3,
    path: String,
    buffer: Vec<u8>,
    bytes: u64,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    fn send_part(&mut self) -> Result<()> {
        let path = self.path.clone();
        let told = |error| failed("write", &path, error);
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let to = self.s3.path(&self.path);
                let begun = self.s3.wait(|store| async move { store.put_multipart(&to).await })?;
                begun.map_err(told)?
            }
        };
        let payload = PutPayload::from(std::mem::take(&mut self.buffer));
        let sent = parts.put_part(payload);
        self.parts = Some(parts);
        self.s3.wait(|_| sent)?.map_err(told)
    }

    fn complete(&mut self) -> Result<()> {
        if self.parts.is_none() {
            let bytes = std::mem::take(&mut self.buffer);
            return self.s3.put(&self.path, &bytes);
        }
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        let (completed, parts) = self.s3.wait(|_| async move {
            let completed = parts.complete().await;
            (completed, parts)
        })?;
        if completed.is_err() {
            self.parts = Some(parts);
        }
        completed.map(|_| ()).map_err(|e| failed("write", &self.path, e))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        if self.buffer.len() >= PART_BYTES {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ObjectWriter for Upload {
    fn finish(mut self: Box<Self>) -> Result<u64> {
        self.complete()?;
        Ok(self.bytes)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        // What cannot be aborted now is the bucket's own rule for unfinished uploads to remove.
        if let Ok(Err(error)) = self.s3.wait(|_| async move { parts.abort().await }) {
            tracing::debug!(%error, path = self.path, "an upload is left unfinished");
        }
    }
}
