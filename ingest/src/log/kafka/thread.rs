//! Runs blocking calls of the driver on threads that neither the runtime nor a shutdown waits for.

use std::thread;

use rdkafka::error::KafkaResult;
use tokio::sync::oneshot;

use super::failure::RequestError;

/// Runs `request`, which blocks, on a thread of its own.
pub(super) async fn off_runtime<T: Send + 'static>(
    name: &str,
    request: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> Result<T, RequestError> {
    let (done, outcome) = oneshot::channel();
    let work = move || {
        // The caller may have dropped its future meanwhile.
        drop(done.send(request()));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| RequestError::Thread(error.to_string()))?;
    Ok(outcome.await.map_err(|error| RequestError::Thread(error.to_string()))??)
}

/// A value whose drop blocks, and therefore runs on a thread of its own.
pub(super) struct DroppedAside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DroppedAside<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value: present until the drop.
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

/// Drops a value whose drop blocks on a thread of its own.
pub(super) fn drop_aside<T: Send + 'static>(value: T) {
    // If no thread can be spawned, the closure and its value are dropped here.
    drop(thread::Builder::new().name("kafka-drop".to_owned()).spawn(move || drop(value)));
}
