//! Reading a body: within a deadline, within a size before and after inflating, and within what all bodies may hold.

use std::{io::Read, pin::pin, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use prometheus::IntGauge;
use shared::event::BatchFormat;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use warp::http::{HeaderMap, header};
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

/// What the library says when the output does not fit.
const ZSTD_TOO_SMALL: usize = ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize;

/// The bytes that all bodies together may hold.
#[derive(Debug)]
pub(super) struct InFlight {
    free: Arc<Semaphore>,
    held: IntGauge,
}

/// A body that was read and inflated; what it holds is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    _held: Held,
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge { limit: usize },
    MediaType(String),
    Encoding(String),
    Damaged(String),
    Slow,
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
    /// Reads a body to its end, before `deadline`.
    pub(super) async fn read(
        headers: &HeaderMap,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
        limit: usize,
        in_flight: &InFlight,
        deadline: Instant,
    ) -> Result<Self, BodyError> {
        let encoding = encoding(headers)?;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let mut chunks = pin!(chunks);
        let mut held = in_flight.hold()?;
        // What was announced is counted, and takes memory, only as it is sent; but the room for it need not be found twice.
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) =
            timeout_at(deadline, chunks.next()).await.map_err(|_| BodyError::Slow)?
        {
            let mut chunk = chunk
                .map_err(|error| BodyError::Damaged(format!("the body broke off: {error}")))?;
            let length = chunk.remaining();
            if body.len() + length > limit {
                return Err(BodyError::TooLarge { limit });
            }
            in_flight.grow(&mut held, length)?;
            body.extend_from_slice(&chunk.copy_to_bytes(length));
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

/// How the body is to be read: without a media type, and with the one curl sends unasked, it is JSON.
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

/// Stops as soon as the limit is passed, whatever the body would inflate to.
fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let mut inflated = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    inflated
        .read_to_end(&mut out)
        .map_err(|error| BodyError::Damaged(format!("the body is no gzip: {error}")))?;
    if out.len() > limit { Err(BodyError::TooLarge { limit }) } else { Ok(out.into()) }
}

/// Inflates into one buffer of the limit's size: no window is set aside at the body's word.
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
            "the body is no zstd: {}",
            zstd_safe::get_error_name(code)
        ))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
