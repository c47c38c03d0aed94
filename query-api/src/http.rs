//! The HTTP of the query service: the table of its routes.
//!
//! The handlers are in the files below, by subject. They read the store and never write to it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use shared::http::{
    Access::{self, Public, ReadAll, ReadUser},
    Request, Route,
    openapi::Call,
};
use warp::http::Method;

pub use self::service::QueryService;
use self::{
    reply::Answer,
    service::Reach::{self, Point, Range},
};
use crate::error::QueryError;

mod body;
mod dashboard;
mod docs;
mod openapi;
mod page;
mod reply;
mod service;
mod starts;
mod users;

/// The future of a reply to a query.
type Reading<'a> = BoxFuture<'a, Result<Answer, QueryError>>;

/// The routes of the query service: the queries, the documentation page and the dashboard.
#[must_use]
pub fn routes() -> Vec<Route<QueryService>> {
    let queries = [
        query(
            "/v1/session-starts",
            ReadAll,
            Range,
            openapi::starts::listed(),
            |service, request| Box::pin(service.starts(request)),
        ),
        query(
            "/v1/session-starts/counts",
            ReadAll,
            Range,
            openapi::starts::counted(),
            |service, request| Box::pin(service.start_counts(request)),
        ),
        measured(
            "/v1/users/{user_id}/sessions",
            ReadUser,
            openapi::users::sessions(),
            |service, request| Box::pin(service.sessions(request)),
        ),
        query(
            "/v1/users/{user_id}/sessions/{session_id}",
            ReadUser,
            Point,
            openapi::users::session(),
            |service, request| Box::pin(service.session(request)),
        ),
        measured(
            "/v1/sessions",
            ReadUser,
            openapi::users::sessions_by_query(),
            |service, request| Box::pin(service.sessions_by_query(request)),
        ),
        query(
            "/v1/session",
            ReadUser,
            Point,
            openapi::users::session_by_query(),
            |service, request| Box::pin(service.session_by_query(request)),
        ),
        // The page is for everybody; the handler checks the right of a request with a body.
        measured("/", Public, openapi::users::root(), |service, request| {
            Box::pin(service.root(request))
        }),
        query(
            "/user/last-events",
            ReadAll,
            Range,
            openapi::starts::last_events(),
            |service, request| Box::pin(service.last_events(request)),
        ),
        query(
            "/user/last-sessions-user",
            ReadUser,
            Point,
            openapi::users::last_sessions(),
            |service, request| Box::pin(service.last_sessions(request)),
        ),
    ];
    queries.into_iter().chain(docs::routes()).chain(dashboard::routes()).collect()
}

/// A route whose handler reads the store and no body. Its reply begins before the deadline, which
/// includes the wait for a permit to read.
fn query(
    template: &'static str,
    access: Access,
    reach: Reach,
    description: Call,
    read: for<'a> fn(&'a QueryService, Request) -> Reading<'a>,
) -> Route<QueryService> {
    measured(template, access, description, move |service, request| {
        Box::pin(service.in_time(reach, read(service, request)))
    })
}

/// A route that is counted and timed under its template.
fn measured(
    template: &'static str,
    access: Access,
    description: Call,
    answer: impl for<'a> Fn(&'a QueryService, Request) -> Reading<'a> + Copy + Send + Sync + 'static,
) -> Route<QueryService> {
    let handler = move |service: Arc<QueryService>, request: Request| async move {
        let measured = service.metrics.begin(request.route, &request.caller);
        let (head, id) = (request.method == Method::HEAD, request.id.clone());
        match answer(&service, request).await {
            Ok(answer) => answer.into_response(measured, head, id),
            Err(error) => {
                let response = error.to_response(&id);
                measured.answered(response.status().as_u16());
                response
            }
        }
    };
    Route::get(template, access, handler).described(description)
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};
    use serde_json::Value;
    use shared::{
        clock::Clock,
        http::{Router, openapi::Tag},
        store::{EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    };

    use super::*;
    use crate::{QueryMetrics, QueryOptions};

    #[tokio::test]
    async fn a_route_that_is_added_in_one_place_appears_everywhere() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedStoreOptions {
            cache_bytes: 8 << 20,
            write_buffer_bytes: 16 << 20,
            reserve_bytes: 0,
        };
        let store = Store::Embedded(EmbeddedStore::open(dir.path(), options).unwrap());
        let registry = Registry::new();
        let metrics = Arc::new(QueryMetrics::new(&registry).unwrap());
        let clock = Clock::machine();
        let service = QueryService::new(store, clock, metrics, QueryOptions::default());
        let description =
            Call::new(Tag::Queries, "more", "One more", "A route that only a test has.");
        let more = query("/v1/more/{user_id}", ReadUser, Point, description, |_, request| {
            Box::pin(async move { Answer::json(&request.segment(0), 1) })
        });
        let table = routes().into_iter().chain([more]).collect();
        let filter = Router::default().with(&Arc::new(service), table).into_filter().unwrap();
        let ask = async |method: &str, path: &str| {
            warp::test::request().method(method).path(path).reply(&filter).await
        };

        let reply = ask("GET", "/v1/more/a%2Fb").await;
        assert_eq!((reply.status().as_u16(), &reply.body()[..]), (200, &b"\"a%2Fb\""[..]));
        let reply = ask("POST", "/v1/more/u").await;
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        assert_eq!(ask("GET", "/v1/more").await.status(), 404);
        let document = ask("GET", "/openapi.json").await;
        let document: Value = serde_json::from_slice(document.body()).unwrap();
        assert_eq!(document["paths"]["/v1/more/{user_id}"]["get"]["summary"], "One more");
        let shown = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let series =
            r#"bookend_query_requests_total{key="none",route="/v1/more/{user_id}",status="200"} 1"#;
        assert!(shown.contains(series), "{shown}");
    }
}
