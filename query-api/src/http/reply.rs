//! How an answer and an error are said over HTTP.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use async_stream::stream;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use shared::{
    http::{ErrorReply, Fault},
    store::StoreError,
};
use tokio::sync::OwnedSemaphorePermit;
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use crate::{error::QueryError, metrics::Measured, starts::Chunk};

/// What a question is answered with.
pub(super) enum Answer {
    /// A whole JSON text, and how many rows it holds.
    Whole(Vec<u8>, usize),
    /// A JSON text that is written while it is sent, and the turn it has.
    Streamed(Chunks, OwnedSemaphorePermit),
    /// A page for people.
    Page(Response),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, StoreError>> + Send>>;

impl Answer {
    pub(super) fn json(value: &impl Serialize, rows: usize) -> Self {
        // What is answered has texts for keys and no number that is not finite, so there is always a JSON of it.
        Self::Whole(serde_json::to_vec(value).unwrap_or_default(), rows)
    }

    /// Waits for the first chunk, so that a store that is down is still answered with a status of its own.
    pub(super) async fn streamed(
        chunks: impl Stream<Item = Result<Chunk, StoreError>> + Send + 'static,
        turn: OwnedSemaphorePermit,
    ) -> Result<Self, QueryError> {
        let mut chunks: Chunks = Box::pin(chunks);
        let first = chunks.next().await.transpose()?;
        Ok(Self::Streamed(Box::pin(futures_util::stream::iter(first.map(Ok)).chain(chunks)), turn))
    }

    pub(super) fn into_response(self, measured: Measured, head: bool) -> Response {
        let status = StatusCode::OK;
        let body = match self {
            Self::Page(page) => {
                measured.answered(status.as_u16());
                return page;
            }
            Self::Whole(json, rows) => {
                measured.rows(rows);
                measured.answered(status.as_u16());
                json.into_response()
            }
            Self::Streamed(..) if head => {
                measured.answered(status.as_u16());
                warp::reply().into_response()
            }
            Self::Streamed(chunks, turn) => send(chunks, turn, measured, status),
        };
        as_json(body, status)
    }
}

/// Sends chunks as the client takes them. When the store fails on the way the body breaks off without its end, which no
/// client can mistake for a whole answer.
fn send(
    mut chunks: Chunks,
    turn: OwnedSemaphorePermit,
    measured: Measured,
    status: StatusCode,
) -> Response {
    let body = stream! {
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => {
                    measured.rows(chunk.rows);
                    yield Ok(chunk.bytes);
                }
                Err(error) => {
                    tracing::error!(%error, "a streamed reply broke off");
                    yield Err(error);
                    return;
                }
            }
        }
        measured.answered(status.as_u16());
        drop(turn);
    };
    warp::reply::stream(Exclusive(Mutex::new(Box::pin(body)))).into_response()
}

impl QueryError {
    pub(super) fn into_response(self) -> Response {
        match &self {
            Self::Unavailable(cause) => tracing::warn!(%cause, "a question was not answered"),
            Self::Damaged(cause) => tracing::error!(%cause, "a question cannot be answered"),
            _ => {}
        }
        let status = self.status();
        let message = self.to_string();
        let error = Fault { code: self.code(), message: &message };
        let json = serde_json::to_vec(&ErrorReply { error }).unwrap_or_default();
        let mut response = as_json(json.into_response(), status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidQuery
            | Self::UnknownParameter { .. }
            | Self::RepeatedParameter(_)
            | Self::MissingWindow(_)
            | Self::InvalidWindow(_)
            | Self::InvalidLimit(_)
            | Self::InvalidStep
            | Self::InvalidStatus
            | Self::InvalidCursor
            | Self::MissingUserId(_)
            | Self::InvalidUserId
            | Self::ConflictingUserId
            | Self::InvalidSessionId
            | Self::InvalidBody => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::Busy | Self::Crowded | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn as_json(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers change from one instant to the next, and the answer at `/` depends on a body that no cache looks at.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream that one task polls, in the shape of one that several could look at, which warp asks for. The lock is never
/// taken: who may poll has the stream to itself.
struct Exclusive<S>(Mutex<Pin<Box<S>>>);

impl<S: Stream> Stream for Exclusive<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.get_mut() {
            Ok(stream) => stream.as_mut().poll_next(context),
            // Nothing ever locks it, so nothing can have poisoned it.
            Err(poisoned) => poisoned.into_inner().as_mut().poll_next(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use prometheus::{Registry, TextEncoder};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::Semaphore,
    };
    use warp::Filter;

    use super::*;
    use crate::QueryMetrics;

    fn chunk(text: &'static str) -> Result<Chunk, StoreError> {
        Ok(Chunk { bytes: Bytes::from_static(text.as_bytes()), rows: 1 })
    }

    fn down() -> StoreError {
        StoreError::Unavailable("the disk has gone".to_owned())
    }

    fn turn() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
    }

    /// What comes over the wire when these chunks are answered, and the metrics after it.
    async fn wire(chunks: Vec<Result<Chunk, StoreError>>) -> (String, String) {
        let registry = Registry::new();
        let metrics = Arc::new(QueryMetrics::new(&registry).unwrap());
        let route = warp::any().then(move || {
            let (metrics, chunks) = (Arc::clone(&metrics), chunks.clone());
            async move {
                // Between chunks the server has a moment to send what it was given.
                let chunks = futures_util::stream::iter(chunks).then(async |chunk| {
                    tokio::task::yield_now().await;
                    chunk
                });
                let answer = Answer::streamed(chunks, turn()).await.unwrap();
                answer.into_response(metrics.begin("/"), false)
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(warp::serve(route).incoming(listener).run());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        server.abort();
        (text, TextEncoder::new().encode_to_string(&registry.gather()).unwrap())
    }

    #[tokio::test]
    async fn a_streamed_reply_ends_with_the_last_chunk() {
        let (text, metrics) = wire(vec![chunk("{"), chunk("}")]).await;
        assert!(text.ends_with("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), "{text:?}");
        assert!(metrics.contains(r#"requests_total{route="/",status="200"} 1"#), "{metrics}");
    }

    #[tokio::test]
    async fn a_store_that_fails_on_the_way_breaks_the_reply_off_without_its_end() {
        let (text, metrics) = wire(vec![chunk("{"), Err(down())]).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !text.contains("0\r\n\r\n"), "{text:?}");
        assert!(metrics.contains(r#"requests_total{route="/",status="aborted"} 1"#), "{metrics}");
    }

    #[tokio::test]
    async fn a_store_that_fails_before_the_first_chunk_is_an_error_with_a_status() {
        let answer = Answer::streamed(futures_util::stream::iter([Err(down())]), turn()).await;
        assert!(matches!(answer, Err(QueryError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_passing_fault_is_a_503_that_says_when_to_come_again_and_tells_no_inner_matter() {
        for error in [down(), StoreError::Poisoned("the disk has gone".to_owned())] {
            let response = QueryError::from(error).into_response();
            assert_eq!(
                (response.status(), &response.headers()["retry-after"]),
                (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("1"))
            );
            let reply = warp::test::request()
                .reply(&warp::any().map(|| QueryError::from(down()).into_response()))
                .await;
            assert_eq!(
                reply.body(),
                r#"{"error":{"code":"unavailable","message":"the store cannot answer now; try again soon"}}"#
            );
        }
    }

    #[test]
    fn a_damaged_row_is_a_500_for_no_repetition_heals_it() {
        let response = QueryError::from(StoreError::Corrupt("starts".to_owned())).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key("retry-after"));
    }
}
