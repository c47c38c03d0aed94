//! Why a request to the store failed, the same for every backend.

use thiserror::Error;

/// The result of a request to the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a request to the store failed.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// A passing fault: the same request may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The servers refuse the request. It may succeed later, but usually an operator must act.
    #[error("the store refuses requests: {0}")]
    Refused(String),
    /// The state of the embedded store is unknown until a restart has recovered it.
    #[error("the store has failed: {0}; restart the process")]
    Poisoned(String),
    /// A row that no version of this program writes.
    #[error("the store cannot read a row: {0}; check the disk and its file system first")]
    Corrupt(String),
}
