//! A request as its handler receives it.

use std::{net::IpAddr, pin::Pin};

use futures_util::Stream;
use hyper::body::Bytes;
use warp::http::{HeaderMap, Method};

use super::{caller::Caller, id::RequestId};

/// What the accept loop knows about a request; it adds this to the request's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// The address of the peer; `None` where no accept loop added it, as in unit tests.
    pub client: Option<IpAddr>,
    /// Whether the process was stopping when the request arrived.
    pub stopping: bool,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The connection if it is one of HTTP/2, which carries many requests at once.
    pub many: Option<ConnectionId>,
}

/// A connection among those of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The body of a request, in the pieces in which it arrives.
pub type RequestBody = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// A request that matched a route.
pub struct Request {
    /// The method; HEAD goes to the handler of GET.
    pub method: Method,
    /// The route's label in metrics: its path template, unless the route names another one.
    pub route: &'static str,
    /// The segments of the path that are variables in the template, in order, percent-encoded.
    pub segments: Vec<String>,
    /// The query string without its `?`, percent-encoded; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The id, for log lines.
    pub id: RequestId,
    /// The connection that the request came on.
    pub connected: Connected,
    /// The sender of the request, and its rights.
    pub caller: Caller,
    /// The body, of which nothing has been read yet.
    pub body: RequestBody,
}

impl Request {
    /// The variable segment at `index`, percent-encoded; empty when the template has fewer.
    #[must_use]
    pub fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }
}
