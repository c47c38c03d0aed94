//! The HTTP of the query service: which question a request asks, and how its answer or its error is said.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use shared::{clock::Clock, store::Store};
use tokio::sync::Semaphore;
use warp::{
    Filter, Rejection,
    filters::{BoxedFilter, path::FullPath},
    http::Method,
    reply::Response,
};

use self::{reply::Answer, route::Route};
use crate::{QueryMetrics, QueryOptions, error::QueryError, params::Params};

mod body;
mod dashboard;
mod docs;
mod openapi;
mod page;
mod reply;
mod route;
mod starts;
mod users;

pub use self::{openapi::calls, route::methods};

/// What every call builds on.
struct Service {
    store: Store,
    clock: Clock,
    options: QueryOptions,
    metrics: Arc<QueryMetrics>,
    /// Turns at reading the store.
    reads: Semaphore,
    /// Turns at an uncut reply.
    streams: Arc<Semaphore>,
}

/// Every query, and the pages that ask them. What is neither (another path or method) is rejected as not found, for a filter
/// behind this one to answer; [`methods`] tells such a filter whether the path is known here.
#[must_use]
pub fn routes(
    store: Store,
    clock: Clock,
    metrics: Arc<QueryMetrics>,
    options: QueryOptions,
) -> BoxedFilter<(Response,)> {
    let (docs, dashboard) =
        (docs::routes(Arc::clone(&metrics)), dashboard::routes(Arc::clone(&metrics)));
    let service = Arc::new(Service {
        store,
        clock,
        options,
        metrics,
        reads: Semaphore::new(options.reads),
        streams: Arc::new(Semaphore::new(options.streams)),
    });
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and(warp::method())
        .and_then(async |path: FullPath, method: Method| find(path.as_str(), &method))
        .and(query)
        .and(warp::body::stream())
        .then(move |(route, head), query: String, body| {
            let service = Arc::clone(&service);
            async move { service.answer(route, head, &query, body).await }
        })
        .or(docs)
        .unify()
        .or(dashboard)
        .unify()
        .boxed()
}

/// The route, and whether its head alone is wanted.
fn find(path: &str, method: &Method) -> Result<(Route, bool), Rejection> {
    let head = *method == Method::HEAD;
    match Route::of(path) {
        Some(route) if head || *method == Method::GET => Ok((route, head)),
        _ => Err(warp::reject::not_found()),
    }
}

impl Service {
    async fn answer<B, E>(
        &self,
        route: Route,
        head: bool,
        query: &str,
        body: impl Stream<Item = Result<B, E>> + Send,
    ) -> Response
    where
        B: Buf + Send,
    {
        let measured = self.metrics.begin(route.template());
        match self.ask(&route, query, body).await {
            Ok(answer) => answer.into_response(measured, head),
            Err(error) => {
                let response = error.into_response();
                measured.answered(response.status().as_u16());
                response
            }
        }
    }

    async fn ask<B, E>(
        &self,
        route: &Route,
        query: &str,
        body: impl Stream<Item = Result<B, E>> + Send,
    ) -> Result<Answer, QueryError>
    where
        B: Buf + Send,
    {
        // What a slow client has still to send is waited for without a turn at the store.
        let body = match route {
            Route::Root => body::read(body, self.options.body_timeout).await?,
            _ => Vec::new(),
        };
        if *route == Route::Root && body.trim_ascii().is_empty() {
            Params::parse(query, &[])?;
            return Ok(Answer::Page(docs::page()));
        }
        let turn = tokio::time::timeout(self.options.turn_timeout, self.reads.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(QueryError::Crowded) };
        match route {
            Route::Root => self.root(query, &body).await,
            Route::Starts => self.starts(query).await,
            Route::StartCounts => self.start_counts(query).await,
            Route::Sessions { user } => self.sessions(user, query).await,
            Route::Session { user, session } => self.session(user, session, query).await,
            Route::LastEvents => self.last_events(query).await,
            Route::LastSessions => self.last_sessions(query).await,
        }
    }
}
