//! Reading a body: within a deadline, within a size before and after decompression, and within the
//! bytes that all bodies in flight may hold together.

use std::{
    io::{self, Read},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use futures_util::StreamExt;
use shared::{
    event::BatchFormat,
    http::{Connected, RequestBody},
};
use tokio::time::{Instant, timeout_at};
use warp::http::{HeaderMap, header};
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use super::in_flight::{Full, Held, InFlight};

/// The error of the library for output that does not fit.
const ZSTD_TOO_SMALL: usize = ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize;

/// The error of the library for input that ends too early, or after the end of a frame.
const ZSTD_WRONG_SIZE: usize = ZSTD_ErrorCode::ZSTD_error_srcSize_wrong as usize;

/// The bytes with which a gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

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

impl From<Full> for BodyError {
    fn from(Full: Full) -> Self {
        Self::Busy
    }
}

impl Body {
    /// Reads a body of at most `limit` bytes to its end, within `timeout`.
    pub(super) async fn read(
        headers: &HeaderMap,
        connected: Connected,
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
        let mut held = in_flight.hold(connected.many, limit)?;
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
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-lines"
        | "application/x-ldjson"
        | "application/stream+json"
        | "text/x-ndjson" => Ok(BatchFormat::Lines),
        _ => Err(BodyError::MediaType(shorten(&value))),
    }
}

/// The one encoding of the body. Header lines and their lists count alike, and `identity` means
/// nothing.
fn encoding(headers: &HeaderMap) -> Result<Encoding, BodyError> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let value = lines.join(", ");
    let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<_> = names.filter(|name| !matches!(name.as_str(), "" | "identity")).collect();
    match names.as_slice() {
        [] => Ok(Encoding::Identity),
        [name] if matches!(name.as_str(), "gzip" | "x-gzip") => Ok(Encoding::Gzip),
        [name] if name == "zstd" => Ok(Encoding::Zstd),
        _ => Err(BodyError::Encoding(shorten(&value))),
    }
}

/// Decompresses gzip, and stops as soon as the output is over the limit. Zero bytes after its end
/// are padding.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let mut rest = body;
    loop {
        let left = (limit - out.len()) as u64 + 1;
        let mut member = GzDecoder::new(rest).take(left);
        member.read_to_end(&mut out).map_err(|error| not_gzip(&error))?;
        if out.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        rest = member.into_inner().into_inner();
        // A gzip may have several members, one after the other.
        if !rest.starts_with(&GZIP) {
            break;
        }
    }
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(out.into());
    }
    let bytes = rest.len();
    let cause = format!("other bytes ({bytes}) follow the end of the gzip; send the gzip alone");
    Err(BodyError::Damaged(cause))
}

fn not_gzip(error: &io::Error) -> BodyError {
    BodyError::Damaged(if error.kind() == io::ErrorKind::UnexpectedEof {
        "the body broke off: its gzip ends early; send the batch again".to_owned()
    } else {
        format!("the body is not valid gzip: {error}")
    })
}

/// Decompresses zstd into one buffer of the limit's size, so that the body cannot make the library
/// allocate a window of its choice.
fn unzstd(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut out: Vec<u8> = Vec::with_capacity(limit + 1);
    // The library's codes are negated error numbers.
    match zstd_safe::decompress(&mut out, body).map_err(|code| (code, 0_usize.wrapping_sub(code))) {
        Ok(length) if length > limit => Err(BodyError::TooLarge { limit }),
        Ok(_) => Ok(out.into()),
        Err((_, ZSTD_TOO_SMALL)) => Err(BodyError::TooLarge { limit }),
        Err((_, ZSTD_WRONG_SIZE)) => Err(BodyError::Damaged(
            "the body broke off, or other bytes follow the end of its zstd; send the batch again"
                .to_owned(),
        )),
        Err((code, _)) => Err(BodyError::Damaged(format!(
            "the body is not valid zstd: {}",
            zstd_safe::get_error_name(code)
        ))),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
