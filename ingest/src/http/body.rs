//! Reading a body: within a deadline, within a size before and after decompression, and within the
//! bytes that all bodies in flight may hold together.

use std::{io::Read, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use prometheus::IntGauge;
use shared::{event::BatchFormat, http::RequestBody};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use warp::http::{HeaderMap, header};
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

/// The error of the library for output that does not fit.
const ZSTD_TOO_SMALL: usize = ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize;

/// The bytes that all bodies in flight may hold together.
#[derive(Debug)]
pub(super) struct InFlight {
    free: Arc<Semaphore>,
    held: IntGauge,
}

/// A body that was read and decompressed; dropping it releases the bytes that it holds.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    _held: Held,
}

/// The reason why a body was not read.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge { limit: usize },
    MediaType(String),
    Encoding(String),
    Damaged(String),
    Slow { timeout: Duration },
    Busy,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    gauge: IntGauge,
}

impl InFlight {
    pub(super) fn new(bytes: usize, held: IntGauge) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))), held }
    }

    fn hold(&self) -> Result<Held, BodyError> {
        let permit =
            Arc::clone(&self.free).try_acquire_many_owned(0).map_err(|_| BodyError::Busy)?;
        Ok(Held { permit, gauge: self.held.clone() })
    }

    fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), BodyError> {
        let more = u32::try_from(bytes).map_err(|_| BodyError::Busy)?;
        let permit =
            Arc::clone(&self.free).try_acquire_many_owned(more).map_err(|_| BodyError::Busy)?;
        held.permit.merge(permit);
        held.gauge.add(i64::from(more));
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.sub(i64::try_from(self.permit.num_permits()).unwrap_or(i64::MAX));
    }
}

impl Body {
    /// Reads a body of at most `limit` bytes to its end, within `timeout`.
    pub(super) async fn read(
        headers: &HeaderMap,
        mut chunks: RequestBody,
        limit: usize,
        in_flight: &InFlight,
        timeout: Duration,
    ) -> Result<Self, BodyError> {
        let deadline = Instant::now() + timeout;
        let encoding = encoding(headers)?;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let mut held = in_flight.hold()?;
        // Announced bytes count as held, and take memory, only when they arrive; reserving their
        // address space now saves a reallocation.
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        let next = async |chunks: &mut RequestBody| {
            let next = timeout_at(deadline, chunks.next()).await;
            next.map_err(|_elapsed| BodyError::Slow { timeout })
        };
        while let Some(chunk) = next(&mut chunks).await? {
            let chunk = chunk.map_err(|error| {
                BodyError::Damaged(format!("the body ended early: {error}; send the batch again"))
            })?;
            if body.len() + chunk.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            in_flight.grow(&mut held, chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        let bytes = match encoding {
            Encoding::Identity => body.freeze(),
            Encoding::Gzip => {
                in_flight.grow(&mut held, limit)?;
                gunzip(&body, limit)?
            }
            Encoding::Zstd => {
                in_flight.grow(&mut held, limit)?;
                unzstd(&body, limit)?
            }
        };
        Ok(Self { bytes, _held: held })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The format of the body. Without a content type, and with the one that curl sends by default, a
/// body is JSON.
pub(super) fn format(headers: &HeaderMap) -> Result<BatchFormat, BodyError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(BatchFormat::Json) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        ""
        | "application/json"
        | "text/json"
        | "text/plain"
        | "application/x-www-form-urlencoded" => Ok(BatchFormat::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/json-lines" => Ok(BatchFormat::Lines),
        _ => Err(BodyError::MediaType(shorten(&value))),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, BodyError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    let value = String::from_utf8_lossy(value.as_bytes());
    match value.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(BodyError::Encoding(shorten(&value))),
    }
}

/// Decompresses gzip, and stops as soon as the output is over the limit.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let mut inflated = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    inflated
        .read_to_end(&mut out)
        .map_err(|error| BodyError::Damaged(format!("the body is not valid gzip: {error}")))?;
    if out.len() > limit { Err(BodyError::TooLarge { limit }) } else { Ok(out.into()) }
}

/// Decompresses zstd into one buffer of the limit's size, so that the body cannot make the library
/// allocate a window of its choice.
fn unzstd(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut out: Vec<u8> = Vec::with_capacity(limit + 1);
    match zstd_safe::decompress(&mut out, body) {
        Ok(length) if length > limit => Err(BodyError::TooLarge { limit }),
        Ok(_) => Ok(out.into()),
        // The library's codes are negated error numbers.
        Err(code) if 0_usize.wrapping_sub(code) == ZSTD_TOO_SMALL => {
            Err(BodyError::TooLarge { limit })
        }
        Err(code) => Err(BodyError::Damaged(format!(
            "the body is not valid zstd: {}",
            zstd_safe::get_error_name(code)
        ))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
