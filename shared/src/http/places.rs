//! The places of requests that are being answered.
//!
//! Each connection has a place of its own, which its first request takes. Further requests at the
//! same time, which only HTTP/2 allows, take a place that all connections share. So others cannot
//! keep a client that sends one request at a time from being answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    activity::Activity,
    shared_limit::{SharedLimit, Taken},
};

/// The door of a connection through which its requests get their places.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    activity: Arc<Activity>,
    own: Arc<Semaphore>,
    shared: SharedLimit,
}

/// An admitted request; it travels with the reply until the client has taken that.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// Whether the request has no valid key although the service asks for one.
    pub(super) is_stranger: bool,
    _place: Arc<Place>,
}

#[derive(Debug)]
enum Place {
    Own(#[expect(dead_code, reason = "dropping it gives the place back")] OwnedSemaphorePermit),
    Shared(#[expect(dead_code, reason = "dropping it gives the place back")] Taken),
}

impl Admission {
    /// The door of the connection with this `activity`, which has `shared` places in common with
    /// others.
    pub(super) fn new(activity: Arc<Activity>, shared: SharedLimit) -> Self {
        Self { activity, own: Arc::new(Semaphore::new(1)), shared }
    }

    /// Gives a request a place; `None` if none is free.
    pub(super) fn admit(&self, is_stranger: bool) -> Option<Admitted> {
        if !is_stranger {
            self.activity.recognized();
        }
        let place = match Arc::clone(&self.own).try_acquire_owned() {
            Ok(own) => Place::Own(own),
            Err(_taken) => Place::Shared(self.shared.take(1, is_stranger)?),
        };
        Some(Admitted { is_stranger, _place: Arc::new(place) })
    }
}
