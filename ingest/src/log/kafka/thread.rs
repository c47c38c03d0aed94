//! What blocks, off the runtime: on threads of its own, which nobody who stops has to wait for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::oneshot;

use crate::log::LogError;

/// Does `work`, which blocks, on a thread of its own.
pub(super) async fn off_runtime<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let (done, outcome) = oneshot::channel();
    let work = move || {
        // Whoever asked may have gone.
        drop(done.send(work()));
    };
    let lost = |cause: String| LogError::Busy(format!("a request to the log was lost: {cause}"));
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| lost(error.to_string()))?;
    outcome.await.map_err(|error| lost(error.to_string()))
}

/// A value whose drop blocks, which therefore happens on a thread of its own.
pub(super) struct DroppedAside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DroppedAside<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value, which is there until the drop.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }
}

impl<T: Send + 'static> Drop for DroppedAside<T> {
    fn drop(&mut self) {
        drop_aside(self.0.take());
    }
}

/// Drops a value, which blocks, on a thread of its own.
pub(super) fn drop_aside<T: Send + 'static>(value: T) {
    // Without a thread it is dropped here: late is better than never.
    drop(thread::Builder::new().name("kafka-drop".to_owned()).spawn(move || drop(value)));
}

/// What the locks guard is changed in single steps, so a holder that panicked leaves nothing half done.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
