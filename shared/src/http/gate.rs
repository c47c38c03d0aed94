//! What a caller needs to use a route.

/// What a caller needs to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// The right to send events.
    Ingest,
    /// The right to read about every user.
    ReadAll,
    /// The right to read about the user that the request names.
    ReadUser,
    /// The right to read the metrics.
    Operate,
}
