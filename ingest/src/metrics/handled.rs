//! The outcomes of a record at the consumer: a closed set, with their label values.

/// The outcome of a record at the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handled {
    /// It completed a session, or changed the start or end of a complete one.
    Paired,
    /// It is a start without an end.
    Open,
    /// It is an end without a start.
    Orphan,
    /// Its fact was stored already.
    Duplicate,
    /// It was expired when it was appended, or the retention has removed its session.
    Expired,
    /// It was appended to the dead letters.
    DeadLettered,
    /// Another event of its session is its canonical start or end.
    Superseded,
    /// It has no value. Such records delete a key in a compacted topic, and mean nothing here.
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
