//! What a caller needs to use a route.

use crate::access::Right;

/// What a caller needs to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// The right to send events.
    Ingest,
    /// The right to read about every user.
    ReadAll,
    /// The right to read about the user that the request names: the handler calls
    /// [`Caller::may_read`](super::Caller::may_read).
    ReadUser,
    /// The right to read the metrics.
    Operate,
}

impl Access {
    /// The right that a key needs, if the route needs a key.
    #[must_use]
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Public => None,
            Self::Ingest => Some(Right::Ingest),
            Self::ReadAll | Self::ReadUser => Some(Right::Read),
            Self::Operate => Some(Right::Operate),
        }
    }
}
