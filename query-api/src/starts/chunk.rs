//! A part of a streamed reply, and why there is no further one.

use std::time::Duration;

use bytes::Bytes;
use shared::store::StoreError;
use thiserror::Error;

use crate::error::QueryError;

/// A part of a streamed reply.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The number of rows in the chunk.
    pub(crate) rows: usize,
}

/// The reason why a streamed reply cannot be continued.
#[derive(Debug, Error)]
pub(crate) enum ChunkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the store made no progress for {0:?}")]
    Stalled(Duration),
}

impl From<ChunkError> for QueryError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Store(error) => error.into(),
            ChunkError::Json(error) => Self::Unwritable(error),
            ChunkError::Stalled(limit) => Self::Slow(limit),
        }
    }
}
