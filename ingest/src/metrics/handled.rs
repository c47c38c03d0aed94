//! What becomes of a record at the consumer: a closed set, and the words of it that a metric shows.

/// What became of a record at the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handled {
    /// It completed a session, or moved the start or end of a complete one.
    Paired,
    /// A start without an end yet.
    Open,
    /// An end without a start yet.
    Orphan,
    /// Its event was known already.
    Duplicate,
    /// It was too old when it was appended, or its session has left with its year.
    Expired,
    /// It went to the dead letters.
    DeadLettered,
    /// Another event of its session stands before it.
    Superseded,
    /// It has no value: it says that its key is deleted, which means nothing here.
    Skipped,
}

impl Handled {
    pub(super) const ALL: [Self; 8] = [
        Self::Paired,
        Self::Open,
        Self::Orphan,
        Self::Duplicate,
        Self::Expired,
        Self::DeadLettered,
        Self::Superseded,
        Self::Skipped,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Open => "open",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::DeadLettered => "dead_lettered",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
        }
    }
}
