//! The bytes that all bodies in flight may hold together, and those of one connection.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus::IntGauge;
use shared::http::ConnectionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that all bodies in flight may hold together. A connection with many requests at once
/// may hold half of them.
#[derive(Debug)]
pub(super) struct InFlight {
    free: Arc<Semaphore>,
    total: usize,
    held: IntGauge,
    connections: Connections,
}

/// The bytes of connections with many requests at once.
type Connections = Arc<Mutex<HashMap<ConnectionId, usize>>>;

/// The bytes that a body holds; dropping it releases them.
#[derive(Debug)]
pub(super) struct Held {
    permit: OwnedSemaphorePermit,
    gauge: IntGauge,
    share: Option<Share>,
}

/// A connection, and the most bytes that it may hold.
#[derive(Debug)]
struct Share {
    connections: Connections,
    connection: ConnectionId,
    most: usize,
}

/// No bytes are left.
#[derive(Debug)]
pub(super) struct Full;

impl InFlight {
    pub(super) fn new(bytes: usize, held: IntGauge) -> Self {
        let total = bytes.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(total)), total, held, connections: Arc::default() }
    }

    /// Begins to hold bytes for a body of at most `largest`, from `connection` if it is one with
    /// many requests at once.
    pub(super) fn hold(
        &self,
        connection: Option<ConnectionId>,
        largest: usize,
    ) -> Result<Held, Full> {
        let permit = Arc::clone(&self.free).try_acquire_many_owned(0).map_err(|_| Full)?;
        let share = connection.map(|connection| Share {
            connections: Arc::clone(&self.connections),
            connection,
            // A compressed body is held together with what it inflates to.
            most: (self.total / 2).max(2 * largest),
        });
        Ok(Held { permit, gauge: self.held.clone(), share })
    }

    /// Holds `bytes` more.
    pub(super) fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Full> {
        let more = u32::try_from(bytes).map_err(|_| Full)?;
        let permit = Arc::clone(&self.free).try_acquire_many_owned(more).map_err(|_| Full)?;
        if let Some(share) = &held.share {
            share.take(bytes)?;
        }
        held.permit.merge(permit);
        held.gauge.add(i64::from(more));
        Ok(())
    }
}

impl Share {
    fn take(&self, bytes: usize) -> Result<(), Full> {
        let mut connections = self.connections.lock();
        let mine = connections.entry(self.connection).or_default();
        if *mine + bytes > self.most {
            return Err(Full);
        }
        *mine += bytes;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let mut connections = self.connections.lock();
        let mine = connections.entry(self.connection).or_default();
        *mine = mine.saturating_sub(bytes);
        if *mine == 0 {
            connections.remove(&self.connection);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = self.permit.num_permits();
        self.gauge.sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(share) = &self.share {
            share.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_with_many_requests_holds_at_most_half_of_the_bytes() {
        let in_flight = InFlight::new(100, IntGauge::new("held", "Held").unwrap());
        let (one, other) = (ConnectionId(1), ConnectionId(2));
        let mut first = in_flight.hold(Some(one), 10).unwrap();
        let mut second = in_flight.hold(Some(one), 10).unwrap();
        in_flight.grow(&mut first, 30).unwrap();
        in_flight.grow(&mut second, 20).unwrap();
        assert!(in_flight.grow(&mut second, 1).is_err());
        // The refused bytes are not held.
        let mut neighbour = in_flight.hold(Some(other), 10).unwrap();
        in_flight.grow(&mut neighbour, 50).unwrap();
        assert!(in_flight.grow(&mut in_flight.hold(None, 10).unwrap(), 1).is_err());
        drop(neighbour);
        in_flight.grow(&mut in_flight.hold(None, 10).unwrap(), 50).unwrap();
        drop(first);
        in_flight.grow(&mut second, 30).unwrap();
        drop(second);
        assert!(in_flight.connections.lock().is_empty());
        assert_eq!(in_flight.held.get(), 0);
    }

    #[test]
    fn a_connection_may_hold_one_body_of_any_allowed_size() {
        let in_flight = InFlight::new(20, IntGauge::new("held", "Held").unwrap());
        let mut held = in_flight.hold(Some(ConnectionId(1)), 10).unwrap();
        in_flight.grow(&mut held, 20).unwrap();
    }
}
