//! The router: makes one warp filter of a table of routes. No other file writes a warp filter.
//!
//! Everything that depends on which routes exist follows from the table: the handler of a path, 404
//! for an unknown path, 405 with `Allow` for another method, HEAD, the OpenAPI document, and the
//! label of a route in metrics. The router decides nothing else about a reply.

use std::{future::ready, sync::Arc};

use futures_util::{Stream, StreamExt, future::BoxFuture};
use hyper::body::{Buf, Bytes};
use warp::{
    Filter,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderValue, Method, header},
    reply::Response,
};

use super::{
    cors::Cors,
    denied::denied,
    gate::Gate,
    headers::ReplyHeaders,
    id::RequestId,
    openapi::{self, Call, OpenApi},
    places::Admission,
    request::{Connected, Request, RequestBody},
    right::Access,
    sent::{self, Length, of_shared_bytes},
    template::{matches, variables},
    unrouted::unrouted,
};

/// The path of the OpenAPI document.
const DOCUMENT: &str = "/openapi.json";

/// The routes of a program as one warp filter.
pub type Routes = BoxedFilter<(Response,)>;

/// The handler of a route; it gets the state that the routes of a crate share.
type Handler<S> = Box<dyn Fn(Arc<S>, Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// An entry of the table of routes; its handler needs an `S`.
pub struct Route<S> {
    method: Method,
    template: &'static str,
    access: Access,
    label: &'static str,
    description: Option<Call>,
    handler: Handler<S>,
}

/// An entry whose handler has its state.
struct BoundRoute {
    method: Method,
    template: &'static str,
    access: Access,
    label: &'static str,
    handler: Box<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>,
}

/// The table of all routes of a program.
#[derive(Default)]
pub struct Router {
    gate: Arc<Gate>,
    routes: Vec<BoundRoute>,
    calls: Vec<(Method, &'static str, Call)>,
}

impl<S> Route<S> {
    /// A route for GET and HEAD whose callers need `access`. A segment of `template` in braces, as
    /// in `/users/{user_id}`, matches any segment.
    pub fn get<F: Future<Output = Response> + Send + 'static>(
        template: &'static str,
        access: Access,
        handler: impl Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler<S> = Box::new(move |state, request| Box::pin(handler(state, request)));
        Self { method: Method::GET, template, access, label: template, description: None, handler }
    }

    /// A route for POST: otherwise as [`get`](Self::get).
    pub fn post<F: Future<Output = Response> + Send + 'static>(
        template: &'static str,
        access: Access,
        handler: impl Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { method: Method::POST, ..Self::get(template, access, handler) }
    }

    /// Adds the description of the route to the OpenAPI document.
    #[must_use]
    pub fn described(self, call: Call) -> Self {
        Self { description: Some(call), ..self }
    }

    /// Gives the route another label in metrics than its template.
    #[must_use]
    pub fn labelled(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// What callers of the route need.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The path template.
    #[must_use]
    pub fn template(&self) -> &'static str {
        self.template
    }

    /// The description with the method, the path template and what callers need; `None` for a
    /// route that clients do not call themselves, such as a file of a page.
    #[must_use]
    pub fn description(&self) -> Option<(Method, &'static str, Call)> {
        let call = openapi::guarded(self.description.clone()?, self.access);
        Some((self.method.clone(), self.template, call))
    }
}

impl Router {
    /// The same table behind `gate`.
    #[must_use]
    pub fn behind(self, gate: Arc<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Adds the routes of another table.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.calls.extend(other.calls);
        self
    }

    /// Adds the routes of a crate, with the state that their handlers share.
    #[must_use]
    pub fn with<S: Send + Sync + 'static>(mut self, state: &Arc<S>, routes: Vec<Route<S>>) -> Self {
        for route in routes {
            self.calls.extend(route.description());
            let (state, handler) = (Arc::clone(state), route.handler);
            self.routes.push(BoundRoute {
                method: route.method,
                template: route.template,
                access: route.access,
                label: route.label,
                handler: Box::new(move |request| handler(Arc::clone(&state), request)),
            });
        }
        self
    }

    /// The filter that answers every request, and serves the OpenAPI document of the table.
    pub fn into_filter(self) -> serde_json::Result<Routes> {
        let text = Arc::new(Bytes::from(openapi::text(&document(self.calls.iter().cloned()))?));
        let serve = |text: Arc<Bytes>, _| async move { document_reply(&text) };
        Ok(self.with(&text, vec![Route::get(DOCUMENT, Access::Public, serve)]).into_bare_filter())
    }

    /// The same without the document.
    pub fn into_bare_filter(self) -> Routes {
        let router = Arc::new(self);
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(
                warp::ext::optional()
                    .map(|connected: Option<Connected>| connected.unwrap_or_default()),
            )
            .and(warp::ext::optional())
            .and(warp::body::stream())
            .then(move |method, path: FullPath, query, headers, connected, admission, body| {
                let id = RequestId::of(&headers);
                let request = Request {
                    caller: router.gate.stranger(&id),
                    id,
                    route: "",
                    segments: Vec::new(),
                    body: boxed(body),
                    method,
                    query,
                    headers,
                    connected,
                };
                router.reply(path.as_str(), request, admission)
            })
            .map(Length::note)
            .boxed()
    }

    /// The reply to a request, with the headers of every reply.
    fn reply(
        &self,
        path: &str,
        request: Request,
        admission: Option<Admission>,
    ) -> impl Future<Output = Response> + use<> {
        let Request { method, headers, id, connected, .. } = &request;
        let cors = Cors::of(method, headers, |origin| self.gate.allows_page(origin));
        let headers = ReplyHeaders::of(id, headers, connected.tls);
        let reply = self.admit(path, request, admission, &cors);
        async move {
            let mut reply = reply.await;
            cors.complete(reply.headers_mut());
            headers.complete(reply.headers_mut());
            reply
        }
    }

    /// The reply to a request if it gets a place, which it keeps with the reply.
    fn admit(
        &self,
        path: &str,
        mut request: Request,
        admission: Option<Admission>,
        cors: &Cors,
    ) -> BoxFuture<'static, Response> {
        let source = self.gate.source(&request);
        let route = self.route(&request.method, path).filter(|_| source.is_ok());
        if route.is_some() {
            request.caller = self.gate.caller(&request);
        }
        let is_stranger = source.is_err() || request.caller.is_stranger();
        // Only a test of the routes alone has no connection.
        let admitted = admission.map(|admission| admission.admit(is_stranger).ok_or(()));
        let Ok(admitted) = admitted.transpose() else {
            return Box::pin(ready(sent::too_many_requests(request.connected.many.is_some())));
        };
        let reply = match (source, route) {
            (Err(denial), _) => Box::pin(denied(denial, request)),
            (Ok(()), Some(route)) => route.answer(path, request),
            (Ok(()), None) => Box::pin(ready(self.unrouted(&request.method, path, cors))),
        };
        Box::pin(async move {
            let mut reply = reply.await;
            admitted.map(|admitted| reply.extensions_mut().insert(admitted));
            reply
        })
    }

    fn matching(&self, path: &str) -> impl Iterator<Item = &BoundRoute> {
        self.routes.iter().filter(move |route| matches(route.template, path))
    }

    fn route(&self, method: &Method, path: &str) -> Option<&BoundRoute> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.matching(path).find(|route| route.method == *method)
    }

    fn unrouted(&self, method: &Method, path: &str, cors: &Cors) -> Response {
        let methods: Vec<_> = match *method {
            // It names no path, and no path supports it.
            Method::CONNECT => vec!["GET", "HEAD", "POST"],
            _ => self.matching(path).flat_map(BoundRoute::methods).collect(),
        };
        unrouted(method, &methods, cors)
    }
}

impl BoundRoute {
    fn answer(&self, path: &str, mut request: Request) -> BoxFuture<'static, Response> {
        request.route = self.label;
        request.segments = variables(self.template, path);
        match request.caller.may_use(self.access) {
            Ok(()) => (self.handler)(request),
            Err(denial) => Box::pin(denied(denial, request)),
        }
    }

    /// The methods that the route supports.
    fn methods(&self) -> impl Iterator<Item = &str> {
        let head = if self.method == Method::GET { Some("HEAD") } else { None };
        std::iter::once(self.method.as_str()).chain(head)
    }
}

/// The OpenAPI document of a program that serves `calls` and this document.
#[must_use]
pub fn document(calls: impl IntoIterator<Item = (Method, &'static str, Call)>) -> OpenApi {
    let itself = (Method::GET, DOCUMENT, openapi::itself());
    openapi::document(calls.into_iter().chain([itself]))
}

fn boxed(body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> RequestBody {
    Box::pin(body.map(|piece| piece.map(|mut piece| piece.copy_to_bytes(piece.remaining()))))
}

fn document_reply(text: &Bytes) -> Response {
    let mut reply = of_shared_bytes(Response::new(text.clone().into()));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

#[cfg(test)]
mod tests {
    use warp::{Reply as _, http::HeaderMap};

    use super::*;
    use crate::http::openapi::Tag;

    fn route(method: Method, template: &'static str) -> Route<()> {
        let answer = async |_, request: Request| {
            let Request { method, route, segments, query, .. } = request;
            format!("{method} {route} {segments:?} {query}").into_response()
        };
        Route { method, ..Route::get(template, Access::Public, answer) }
    }

    async fn ask(routes: Vec<Route<()>>, method: &str, path: &str) -> (u16, HeaderMap, Bytes) {
        let filter = Router::default().with(&Arc::new(()), routes).into_filter().unwrap();
        let reply = warp::test::request().method(method).path(path).reply(&filter).await;
        (reply.status().as_u16(), reply.headers().clone(), reply.body().clone())
    }

    #[tokio::test]
    async fn a_raw_slash_separates_segments_and_an_escaped_one_is_within_an_id() {
        let routes = || vec![route(Method::GET, "/users/{user}/sessions/{session}")];
        let (status, _, body) = ask(routes(), "GET", "/users/a%2Fb/sessions/%25?c=%20").await;
        let shown = r#"GET /users/{user}/sessions/{session} ["a%2Fb", "%25"] c=%20"#;
        assert_eq!((status, &body[..]), (200, shown.as_bytes()));
        for path in ["/users/a/b/sessions/c", "/users/a/sessions/b/c", "/users/a/sessions", "/"] {
            assert_eq!(ask(routes(), "GET", path).await.0, 404, "{path}");
        }
    }

    #[tokio::test]
    async fn the_methods_of_a_path_may_come_from_several_crates() {
        let routes = || vec![route(Method::POST, "/"), route(Method::GET, "/").labelled("label")];
        assert_eq!(&ask(routes(), "POST", "/").await.2[..], b"POST / [] ");
        assert_eq!(&ask(routes(), "HEAD", "/").await.2[..], b"HEAD label [] ");
        for (method, expected) in [("DELETE", 405), ("TRACE", 405), ("OPTIONS", 204)] {
            let (status, headers, _) = ask(routes(), method, "/").await;
            let allow = HeaderValue::from_static("POST, GET, HEAD");
            assert_eq!((status, &headers["allow"]), (expected, &allow), "{method}");
        }
        assert_eq!(ask(routes(), "OPTIONS", "/a").await.0, 404);
    }

    #[tokio::test]
    async fn the_document_lists_the_routes_that_are_described() {
        let call = Call::new(Tag::Operations, "call", "Summary", "Description.");
        let routes = vec![route(Method::GET, "/a").described(call), route(Method::GET, "/b")];
        let (_, _, body) = ask(routes, "GET", "/openapi.json").await;
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/a", "/openapi.json"]);
    }

    #[tokio::test]
    async fn what_a_call_needs_follows_from_the_right_of_its_route() {
        let routes = [Access::Public, Access::Ingest, Access::ReadUser, Access::Operate];
        let routes = ["/public", "/ingest", "/read", "/operate"].into_iter().zip(routes);
        let routes = routes.map(|(template, access)| {
            let call = Call::new(Tag::Operations, "call", "Summary", "Description.");
            Route { access, ..route(Method::GET, template) }.described(call)
        });
        let (_, _, body) = ask(routes.collect(), "GET", "/openapi.json").await;
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let needed = |path: &str| {
            let call = &document["paths"][path]["get"];
            let statuses = call["responses"].as_object().unwrap().keys().cloned();
            (call["security"].to_string(), statuses.collect::<Vec<_>>().join(","))
        };
        assert_eq!(needed("/public"), ("null".to_owned(), String::new()));
        for (path, right) in [("/ingest", "ingest"), ("/read", "read"), ("/operate", "operate")] {
            let security = format!(r#"[{{"bearer":["{right}"]}},{{"api_key":["{right}"]}},{{}}]"#);
            assert_eq!(needed(path), (security, "401,403".to_owned()), "{path}");
        }
    }
}
