//! The replies to queries over HTTP: whole, streamed, or an error.

use std::{
    pin::Pin,
    sync::{LazyLock, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use async_stream::stream;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use shared::{
    http::{HttpError, RequestId},
    store::Pulse,
    telemetry::Repeats,
};
use tokio::sync::OwnedSemaphorePermit;
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use crate::{
    error::QueryError,
    metrics::Measured,
    starts::{Chunk, ChunkError},
};

/// The seconds after which a client should repeat a query that got a 503.
const RETRY_AFTER: u64 = 1;
/// The bytes that the buffer of a reply may have beside it.
const SPARE: usize = 16 << 10;

/// An outage of the store fails every query: not each is worth a line.
static REPEATS: LazyLock<Repeats> = LazyLock::new(Repeats::default);

/// The reply to a query.
pub(super) enum Answer {
    /// A whole JSON text, and the number of rows in it.
    Whole(Vec<u8>, usize),
    /// A JSON text that is written while it is sent, and the permit that it holds.
    Streamed(Chunks, OwnedSemaphorePermit),
    /// A page for people.
    Page(Response),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, ChunkError>> + Send>>;

impl Answer {
    /// A reply with `value`, which holds `rows` rows.
    pub(super) fn json(value: &impl Serialize, rows: usize) -> Result<Self, QueryError> {
        let mut json = serde_json::to_vec(value).map_err(QueryError::Unwritable)?;
        // The buffer of a long reply has room for twice its length, while the client reads it.
        if json.capacity() - json.len() > SPARE {
            json.shrink_to_fit();
        }
        Ok(Self::Whole(json, rows))
    }

    /// A streamed reply, which ends when the store makes no progress for `stall`. Waits for the
    /// first chunk, so that a store that is down is still reported with a status of its own.
    pub(super) async fn streamed(
        chunks: impl Stream<Item = Result<Chunk, ChunkError>> + Send + 'static,
        permit: OwnedSemaphorePermit,
        stall: Duration,
    ) -> Result<Self, QueryError> {
        let mut chunks: Chunks = Box::pin(unless_stalled(Box::pin(chunks), stall));
        let first = chunks.next().await.transpose()?;
        let chunks = futures_util::stream::iter(first.map(Ok)).chain(chunks);
        Ok(Self::Streamed(Box::pin(chunks), permit))
    }

    /// The reply to the request with this id.
    pub(super) fn into_response(
        self,
        measured: Measured,
        head: bool,
        request_id: RequestId,
    ) -> Response {
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
            Self::Streamed(chunks, permit) => send(chunks, permit, measured, request_id),
        };
        as_json(body, status)
    }
}

/// The chunks, and an error in place of one for which the store made no progress for `stall`. The
/// time between two chunks, in which the client reads, does not count.
fn unless_stalled(
    mut chunks: Chunks,
    stall: Duration,
) -> impl Stream<Item = Result<Chunk, ChunkError>> {
    let pulse = Pulse::new();
    stream! {
        while let Some(chunk) = pulse
            .unless_stalled(stall, chunks.next())
            .await
            .unwrap_or(Some(Err(ChunkError::Stalled(stall))))
        {
            yield chunk;
        }
    }
}

/// Sends chunks as fast as the client reads them. When the store fails meanwhile, the body ends
/// without its last chunk, which no client can mistake for a complete reply.
fn send(
    mut chunks: Chunks,
    permit: OwnedSemaphorePermit,
    measured: Measured,
    request_id: RequestId,
) -> Response {
    let body = stream! {
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => {
                    measured.rows(chunk.rows);
                    yield Ok(chunk.bytes);
                }
                Err(error) => {
                    if let Some(suppressed) = REPEATS.due("aborted") {
                        tracing::error!(
                            %error,
                            %request_id,
                            suppressed,
                            "a streamed reply was aborted"
                        );
                    }
                    yield Err(error);
                    return;
                }
            }
        }
        measured.answered(StatusCode::OK.as_u16());
        drop(permit);
    };
    warp::reply::stream(Exclusive(Mutex::new(Box::pin(body)))).into_response()
}

impl QueryError {
    /// The reply to the request with this id; an error of the store is also logged with its cause.
    pub(super) fn to_response(&self, request_id: &RequestId) -> Response {
        // A client may repeat a query that fails as often as it likes.
        match self {
            Self::Unavailable(cause) => {
                if let Some(suppressed) = REPEATS.due("unavailable") {
                    tracing::warn!(
                        %cause,
                        %request_id,
                        suppressed,
                        "the store was not available for a query"
                    );
                }
            }
            Self::Slow(limit) => {
                if let Some(suppressed) = REPEATS.due("slow") {
                    let slow = "the store was too slow for a query, which was given up";
                    tracing::warn!(?limit, %request_id, suppressed, "{slow}");
                }
            }
            Self::Damaged(cause) => {
                if let Some(suppressed) = REPEATS.due("damaged") {
                    tracing::error!(%cause, %request_id, suppressed, "a query read a damaged row");
                }
            }
            Self::Unwritable(cause) => {
                if let Some(suppressed) = REPEATS.due("unwritable") {
                    tracing::error!(%cause, %request_id, suppressed, "a reply could not be written");
                }
            }
            _ => {}
        }
        let error = self.http();
        as_json(error.to_response(), error.status)
    }

    /// The error as a client receives it.
    pub(super) fn http(&self) -> HttpError {
        if let Self::Denied(denial) = self {
            return denial.http();
        }
        let error = HttpError::new(self.status(), self.code(), self.to_string());
        if error.status == StatusCode::SERVICE_UNAVAILABLE {
            error.retry_after(RETRY_AFTER)
        } else {
            error
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Params(_)
            | Self::MissingWindow(_)
            | Self::InvalidWindow(_)
            | Self::InvalidLength { .. }
            | Self::InvalidNumber(..)
            | Self::InvalidStep
            | Self::InvalidStatus
            | Self::InvalidCursor
            | Self::MissingUserId(_)
            | Self::InvalidUserId
            | Self::ConflictingUserId
            | Self::MissingSessionId
            | Self::InvalidSessionId
            | Self::InvalidBody => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::Denied(denial) => denial.http().status,
            Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::Busy | Self::Crowded | Self::Slow(_) | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Damaged(_) | Self::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn as_json(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Replies change from one moment to the next, and the reply at `/` depends on a request body,
    // which caches ignore.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Makes a stream `Sync`, as warp requires. The lock is never taken, because polling needs
/// exclusive access to the stream anyway.
struct Exclusive<S>(Mutex<Pin<Box<S>>>);

impl<S: Stream> Stream for Exclusive<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.get_mut() {
            Ok(stream) => stream.as_mut().poll_next(context),
            // Nothing locks the mutex, so it cannot be poisoned.
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

    use shared::{
        http::Caller,
        store::{EmbeddedStore, Store, StoreError, embedded::EmbeddedStoreOptions},
        timestamp::Timestamp,
    };

    use super::*;
    use crate::QueryMetrics;

    const STALL: Duration = Duration::from_millis(200);
    /// A chunk that never comes.
    const NEVER: &str = "never";

    fn chunk(text: &'static str) -> Result<Chunk, ChunkError> {
        Ok(Chunk { bytes: Bytes::from_static(text.as_bytes()), rows: 1 })
    }

    fn down() -> StoreError {
        StoreError::Unavailable("the disk has gone".to_owned())
    }

    fn permit() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
    }

    /// The bytes on the wire for a reply of these chunks, and the metrics after it.
    async fn wire(
        chunks: impl Fn() -> Vec<Result<Chunk, ChunkError>> + Clone + Send + Sync + 'static,
    ) -> (String, String) {
        wire_after(Duration::ZERO, chunks).await
    }

    /// The same for a client that reads nothing for a while.
    async fn wire_after(
        pause: Duration,
        chunks: impl Fn() -> Vec<Result<Chunk, ChunkError>> + Clone + Send + Sync + 'static,
    ) -> (String, String) {
        let registry = Registry::new();
        let metrics = Arc::new(QueryMetrics::new(&registry).unwrap());
        let route = warp::any().then(move || {
            let (metrics, chunks) = (Arc::clone(&metrics), chunks());
            async move {
                // Between two chunks the server gets the time to send the first one.
                let chunks = futures_util::stream::iter(chunks).then(async |chunk| {
                    tokio::task::yield_now().await;
                    if chunk.as_ref().is_ok_and(|chunk| chunk.bytes == NEVER) {
                        std::future::pending::<()>().await;
                    }
                    chunk
                });
                let answer = Answer::streamed(chunks, permit(), STALL).await.unwrap();
                let measured = metrics.begin("/", &Caller::default());
                answer.into_response(measured, false, RequestId::random())
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(warp::serve(route).incoming(listener).run());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        tokio::time::sleep(pause).await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        server.abort();
        (text, TextEncoder::new().encode_to_string(&registry.gather()).unwrap())
    }

    #[tokio::test]
    async fn a_streamed_reply_ends_with_the_last_chunk() {
        let (text, metrics) = wire(|| vec![chunk("{"), chunk("}")]).await;
        assert!(text.ends_with("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), "{text:?}");
        assert!(
            metrics.contains(r#"requests_total{key="none",route="/",status="200"} 1"#),
            "{metrics}"
        );
    }

    #[tokio::test]
    async fn a_store_that_fails_on_the_way_breaks_the_reply_off_without_its_end() {
        let (text, metrics) = wire(|| vec![chunk("{"), Err(down().into())]).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !text.contains("0\r\n\r\n"), "{text:?}");
        assert!(
            metrics.contains(r#"requests_total{key="none",route="/",status="aborted"} 1"#),
            "{metrics}"
        );
    }

    #[tokio::test]
    async fn a_store_that_makes_no_progress_breaks_the_reply_off() {
        let (text, metrics) = wire(|| vec![chunk("{"), chunk(NEVER), chunk("}")]).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !text.contains("0\r\n\r\n"), "{text:?}");
        assert!(
            metrics.contains(r#"requests_total{key="none",route="/",status="aborted"} 1"#),
            "{metrics}"
        );
    }

    #[test]
    fn a_query_that_fails_again_and_again_is_logged_once_in_a_while() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || Lines(Arc::clone(&written))).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        for error in [
            QueryError::Unavailable(down()),
            QueryError::Slow(Duration::from_secs(1)),
            QueryError::Damaged(StoreError::Corrupt("a row".to_owned())),
        ] {
            for _ in 0..20 {
                error.to_response(&RequestId::random());
            }
        }
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        // Another test may have logged one of them.
        assert!(text.lines().count() <= 3, "{text}");
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chunk_for_which_many_slow_reads_are_needed_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path(), EmbeddedStoreOptions::default()).unwrap();
        let (store, stall) = (Store::Embedded(store), Duration::from_secs(12));
        let slow = |reads, pause| {
            let store = store.clone();
            let chunk = async move {
                for _ in 0..reads {
                    tokio::time::sleep(pause).await;
                    store.countries(Timestamp::default(), None, 1).await.unwrap();
                }
                chunk("[")
            };
            Answer::streamed(futures_util::stream::once(chunk), permit(), stall)
        };
        assert!(slow(60, Duration::from_secs(10)).await.is_ok());
        let stalled = slow(2, Duration::from_secs(13)).await;
        assert!(matches!(stalled, Err(QueryError::Slow(limit)) if limit == stall));
    }

    #[tokio::test]
    async fn the_time_that_a_client_takes_to_read_does_not_count() {
        // More than the buffers of both sides hold.
        let large = || Ok(Chunk { bytes: vec![b' '; 8 << 20].into(), rows: 1 });
        let (text, _) = wire_after(3 * STALL, move || vec![chunk("{"), large(), large()]).await;
        assert!(text.ends_with("0\r\n\r\n"), "{} bytes", text.len());
    }

    #[tokio::test]
    async fn a_store_that_fails_before_the_first_chunk_is_an_error_with_a_status() {
        let chunks = futures_util::stream::iter([Err(down().into())]);
        let answer = Answer::streamed(chunks, permit(), Duration::from_secs(1)).await;
        assert!(matches!(answer, Err(QueryError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_passing_fault_is_a_503_that_says_when_to_come_again_and_tells_no_inner_matter() {
        for error in [down(), StoreError::Poisoned("the disk has gone".to_owned())] {
            let response = QueryError::from(error).to_response(&RequestId::random());
            assert_eq!(
                (response.status(), &response.headers()["retry-after"]),
                (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("1"))
            );
            let reply = warp::test::request()
                .reply(
                    &warp::any().map(|| QueryError::from(down()).to_response(&RequestId::random())),
                )
                .await;
            assert_eq!(
                reply.body(),
                r#"{"error":{"code":"unavailable","message":"the store cannot be read now; try again in 1 s"}}"#
            );
        }
    }

    #[test]
    fn a_damaged_row_is_a_500_for_no_repetition_heals_it() {
        let response = QueryError::from(StoreError::Corrupt("starts".to_owned()))
            .to_response(&RequestId::random());
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key("retry-after"));
    }
}
