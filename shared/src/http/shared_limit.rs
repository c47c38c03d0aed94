//! A limit that the requests of all callers share. Strangers get at most a quarter of it together,
//! so that they leave the rest to callers with a valid key.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of units that requests take and give back.
#[derive(Clone, Debug)]
pub(super) struct SharedLimit {
    all: Units,
    strangers: Units,
}

/// The units that a request has taken; dropping them gives them back.
#[derive(Debug)]
pub(super) struct Taken {
    _all: OwnedSemaphorePermit,
    _strangers: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Debug)]
struct Units {
    free: Arc<Semaphore>,
    total: usize,
}

impl SharedLimit {
    /// A limit of `total` units.
    pub(super) fn new(total: usize) -> Self {
        Self { all: Units::new(total), strangers: Units::new(total.div_ceil(4)) }
    }

    /// Takes `units`; `None` if fewer are free. Who wants more than there are gets all of them once
    /// nobody has any.
    pub(super) fn take(&self, units: usize, is_stranger: bool) -> Option<Taken> {
        let strangers = if is_stranger { Some(self.strangers.take(units)?) } else { None };
        Some(Taken { _all: self.all.take(units)?, _strangers: strangers })
    }

    /// Whether one unit is free.
    pub(super) fn has_one(&self, is_stranger: bool) -> bool {
        let is_free = |units: &Units| units.free.available_permits() > 0;
        is_free(&self.all) && (!is_stranger || is_free(&self.strangers))
    }
}

impl Units {
    fn new(total: usize) -> Self {
        let total = total.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    fn take(&self, units: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(units.min(self.total)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(units).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_a_quarter_and_the_others_get_the_rest() {
        let share = SharedLimit::new(8);
        let of_strangers = [share.take(1, true), share.take(1, true)];
        assert!(of_strangers.iter().all(Option::is_some));
        assert!(share.take(1, true).is_none() && !share.has_one(true));
        let rest = share.take(6, false);
        assert!(rest.is_some() && share.take(1, false).is_none() && !share.has_one(false));
        drop(of_strangers);
        assert!(share.has_one(true) && share.take(2, false).is_some());
        drop(rest);
        let all = share.take(9, false);
        assert!(all.is_some() && share.take(1, true).is_none());
    }
}
