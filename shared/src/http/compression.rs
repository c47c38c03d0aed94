//! Compresses replies for clients that accept gzip or zstd.
//!
//! A compressed reply is sent as early as a plain one: what is compressed is flushed whenever the
//! next part of the reply is not ready. The number of replies that are compressed at a time is
//! limited, because each takes memory until its client has read it; further ones are sent as they
//! are.

use std::{convert::Infallible, error::Error};

use hyper::{
    Request, Response,
    body::{Body, Bytes},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY},
    service::Service,
};
use hyper_util::service::TowerToHyperService;
use tower_http::{
    CompressionLevel,
    compression::{Compression, Predicate, predicate::SizeAbove},
};

use super::{
    places::Admitted,
    router::Routes,
    shared_limit::{SharedLimit, Taken},
};

/// The most replies that are compressed at a time. With zstd, each takes up to 1.4 MiB.
const AT_A_TIME: usize = 32;
/// Smaller replies are sent as they are.
const WORTHWHILE: SizeAbove = SizeAbove::new(1 << 10);
/// The level of either encoding: at higher ones zstd takes several times the memory.
const LEVEL: CompressionLevel = CompressionLevel::Precise(1);
/// The media types that are worth compressing. Those of images are compressed already.
const TEXTS: [&str; 3] = ["text/", "application/json", "image/svg+xml"];

/// The replies that are being compressed.
#[derive(Clone, Debug)]
pub(super) struct Compressing(SharedLimit);

impl Default for Compressing {
    fn default() -> Self {
        Self(SharedLimit::new(AT_A_TIME))
    }
}

impl Compressing {
    /// The `routes` as a service that compresses its replies.
    pub(super) fn wrap<B>(
        &self,
        routes: Routes,
    ) -> impl Service<
        Request<B>,
        Response = Response<
            impl Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>> + Send + Unpin + 'static,
        >,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static,
    {
        let compressed = Compression::new(warp::service(routes)).quality(LEVEL);
        TowerToHyperService::new(compressed.compress_when(self.clone()))
    }

    /// Completes the headers of a reply. Returns a permit for the time in which it is compressed.
    pub(super) fn begin<B>(&self, reply: &mut Response<B>, is_stranger: bool) -> Option<Taken> {
        let headers = reply.headers_mut();
        // Also without a body: a cache takes the headers of a 304 or of a small reply for the rest.
        let varies = if is_text(headers) { "accept-encoding, origin" } else { "origin" };
        headers.insert(VARY, HeaderValue::from_static(varies));
        let is_compressed = headers.contains_key(CONTENT_ENCODING);
        // Without a permit another reply took the last one at the same moment, which is harmless.
        is_compressed.then(|| self.0.take(1, is_stranger)).flatten()
    }
}

impl Predicate for Compressing {
    fn should_compress<B: Body>(&self, reply: &Response<B>) -> bool {
        let admitted: Option<&Admitted> = reply.extensions().get();
        let is_stranger = admitted.is_none_or(|admitted| admitted.is_stranger);
        is_text(reply.headers()) && WORTHWHILE.should_compress(reply) && self.0.has_one(is_stranger)
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    TEXTS.iter().any(|text| media.starts_with(text.as_bytes()))
}
