//! The body of a reply on its way to the client: in pieces, and within the bytes that all replies
//! may hold together until their clients have taken them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::{
    Response,
    body::{Body, Buf, Bytes, Frame, SizeHint},
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use warp::{http::StatusCode, reply};

use super::{
    activity::Activity,
    code::ErrorCode,
    places::Admitted,
    reply::HttpError,
    shared_limit::{SharedLimit, Taken},
    streams::Handed,
};

/// The size of a piece of a reply, in bytes. A piece is the least that the library takes of it.
const PIECE: usize = 16 << 10;
/// The bytes that a reply of unknown length counts for: it is made piece by piece, and the library
/// holds only some of them.
const STREAMED: usize = 64 << 10;

/// The bytes that all replies may hold. Those of one piece have a part of their own: who leaves
/// long replies unread takes nothing from probes, refusals and the replies to batches.
#[derive(Debug)]
pub(super) struct ReplyBytes {
    short: SharedLimit,
    long: SharedLimit,
}

/// The bytes that a reply holds.
pub(super) type Held = Arc<Taken>;

/// The length of a reply before compression; `None` if it is made while it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length(Option<u64>);

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    admitted: Option<Admitted>,
}

/// The body of a reply; dropping it notes that the library has all of it.
pub(super) struct SentBody<B> {
    content: Content<B>,
    /// What is left of the last part of the content.
    rest: Bytes,
    held: Option<Held>,
    handed: Option<Arc<Handed>>,
    _compressing: Option<Taken>,
    _under_way: UnderWay,
}

/// The content of a reply.
enum Content<B> {
    Routed(B),
    Text(Bytes),
}

/// A piece of a reply; it is dropped when the connection has sent it.
pub(super) struct Piece {
    bytes: Bytes,
    _held: Option<Held>,
}

impl ReplyBytes {
    pub(super) fn new(total: usize) -> Self {
        let short = total / 4;
        Self { short: SharedLimit::new(short), long: SharedLimit::new(total - short) }
    }

    /// Room for a reply; `None` if the replies that clients have not taken leave none.
    pub(super) fn hold(&self, Length(length): Length, is_stranger: bool) -> Option<Held> {
        let bytes = length.map_or(STREAMED, |length| usize::try_from(length).unwrap_or(usize::MAX));
        let share = if bytes <= PIECE { &self.short } else { &self.long };
        share.take(bytes, is_stranger).map(Arc::new)
    }
}

/// Marks a reply whose bytes are those of every reply of its kind: it takes no memory of its own.
#[must_use]
pub fn of_shared_bytes(mut reply: reply::Response) -> reply::Response {
    reply.extensions_mut().insert(Length(Some(0)));
    reply
}

impl Length {
    pub(super) fn of(reply: &Response<impl Body>) -> Self {
        Self(reply.body().size_hint().exact())
    }

    /// Notes the length of a reply in its extensions, before anything changes it.
    pub(super) fn note<B: Body>(mut reply: Response<B>) -> Response<B> {
        let length = Self::of(&reply);
        reply.extensions_mut().get_or_insert(length);
        reply
    }
}

impl UnderWay {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun();
        Self { activity: Arc::clone(activity), admitted: None }
    }

    /// Keeps the place of the request that `reply` answers. Returns whether it is a stranger's.
    pub(super) fn keep_place<B>(&mut self, reply: &mut Response<B>) -> bool {
        self.admitted = reply.extensions_mut().remove();
        self.admitted.as_ref().is_none_or(|admitted| admitted.is_stranger)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.activity.answered();
    }
}

impl<B> SentBody<B> {
    /// The body of a reply of a route.
    pub(super) fn new(
        body: B,
        held: Held,
        compressing: Option<Taken>,
        under_way: UnderWay,
    ) -> Self {
        let (content, handed) = (Content::Routed(body), Handed::current());
        let rest = Bytes::new();
        let held = Some(held);
        Self { content, rest, held, handed, _compressing: compressing, _under_way: under_way }
    }

    /// Makes a reply one to HEAD: its headers stay those of the whole reply.
    pub(super) fn leave_out(reply: &mut Response<Self>)
    where
        Self: Body,
    {
        if let Some(length) = reply.body().size_hint().exact() {
            reply.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
        }
        let body = reply.body_mut();
        (body.content, body.held, body._compressing) = (Content::Text(Bytes::new()), None, None);
    }

    fn of_text(text: Bytes, under_way: UnderWay) -> Self {
        let (content, rest, handed) = (Content::Text(text), Bytes::new(), Handed::current());
        Self { content, rest, held: None, handed, _compressing: None, _under_way: under_way }
    }

    /// Makes a reply an `error`; headers that do not describe its body are kept.
    pub(super) fn refuse(
        reply: Response<()>,
        error: &HttpError,
        under_way: UnderWay,
    ) -> Response<Self> {
        let mut reply = reply.map(|()| Self::of_text(error.to_json().into(), under_way));
        *reply.status_mut() = error.status;
        let headers = reply.headers_mut();
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = error.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        reply
    }
}

/// The refusal of a request that gets no place. With HTTP/2 it has no body, which its client could
/// leave unread.
pub(super) fn too_many_requests(is_http2: bool) -> reply::Response {
    let error = unavailable("too many requests are being answered; try again in 1 s");
    let mut reply = error.to_response();
    if is_http2 {
        *reply.body_mut() = reply::Response::default().into_body();
        reply.headers_mut().remove(CONTENT_TYPE);
    }
    reply
}

/// The refusal of a request whose reply does not fit beside those that were not taken.
pub(super) fn too_many_replies() -> HttpError {
    unavailable("too many replies wait until their clients read them; try again in 1 s")
}

fn unavailable(message: &str) -> HttpError {
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message).retry_after(1)
}

impl<B: Body<Data = Bytes> + Unpin> Body for SentBody<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        let this = &mut *self;
        if let Some(handed) = &this.handed {
            handed.taken();
        }
        while this.rest.is_empty() {
            let frame = match &mut this.content {
                Content::Routed(body) => ready!(Pin::new(body).poll_frame(cx)),
                Content::Text(text) if text.is_empty() => None,
                Content::Text(text) => Some(Ok(Frame::data(std::mem::take(text)))),
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => this.rest = bytes,
                Some(Ok(Err(other))) => {
                    let other = other.map_data(|bytes| Piece { bytes, _held: None });
                    return Poll::Ready(Some(Ok(other)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        if let Some(handed) = &this.handed {
            handed.begin();
        }
        let bytes = this.rest.split_to(PIECE.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, _held: this.held.clone() }))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
            && match &self.content {
                Content::Routed(body) => body.is_end_stream(),
                Content::Text(text) => text.is_empty(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let content = match &self.content {
            Content::Routed(body) => body.size_hint(),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        };
        let rest = self.rest.len() as u64;
        let mut all = SizeHint::new();
        if let Some(upper) = content.upper() {
            all.set_upper(upper + rest);
        }
        all.set_lower(content.lower() + rest);
        all
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}
