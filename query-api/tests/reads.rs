//! The replies and the errors of every query, with a real store.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

#[path = "reads/world.rs"]
mod world;

#[path = "reads/dashboard.rs"]
mod dashboard;
#[path = "reads/errors.rs"]
mod errors;
#[path = "reads/paging.rs"]
mod paging;
#[path = "reads/served.rs"]
mod served;
#[path = "reads/sessions.rs"]
mod sessions;
#[path = "reads/starts.rs"]
mod starts;
