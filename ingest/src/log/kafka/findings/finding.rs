//! The findings about a topic: a closed set, with the names that metrics use.

/// The use of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// It holds the events.
    Events,
    /// It holds the dead letters.
    DeadLetters,
}

/// The kind of a finding. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `max.message.bytes` is smaller than a record that must fit.
    RecordLimit,
    /// `max.message.bytes` is smaller than the batches of records that the producer sends.
    BatchLimit,
    /// `max.message.bytes` of the dead letters is smaller than a large record and its headers.
    LetterLimit,
    /// Compaction deletes records of which a later one has the same key.
    Compaction,
    /// Records are deleted within an hour.
    ShortRetention,
    /// Producers set the time of a record.
    CreateTime,
    /// Producers set the time of a record, and the brokers refuse one that differs from their own.
    TimestampRange,
    /// One broker alone may acknowledge a record that has three replicas.
    OneInSync,
    /// More replicas must acknowledge a record than exist.
    TooManyInSync,
    /// A broker that lacks acknowledged records may become leader.
    UncleanElection,
    /// The settings cannot be read.
    Unreadable,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Cannot be judged.
    Note,
    /// Events are at risk when something else fails too.
    Warning,
    /// Events will be lost. `setup` fails.
    Error,
    /// Events cannot be appended. `setup` fails, and the process is not ready.
    Blocking,
}

/// One finding about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) severity: Severity,
    /// The setting with its value, what it causes, and what to do.
    pub(crate) text: String,
}

impl Purpose {
    pub(crate) const ALL: [Self; 2] = [Self::Events, Self::DeadLetters];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::DeadLetters => "dead_letters",
        }
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::RecordLimit,
        Self::BatchLimit,
        Self::LetterLimit,
        Self::Compaction,
        Self::ShortRetention,
        Self::CreateTime,
        Self::TimestampRange,
        Self::OneInSync,
        Self::TooManyInSync,
        Self::UncleanElection,
        Self::Unreadable,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RecordLimit => "record_limit",
            Self::BatchLimit => "batch_limit",
            Self::LetterLimit => "letter_limit",
            Self::Compaction => "compaction",
            Self::ShortRetention => "short_retention",
            Self::CreateTime => "create_time",
            Self::TimestampRange => "timestamp_range",
            Self::OneInSync => "one_in_sync",
            Self::TooManyInSync => "too_many_in_sync",
            Self::UncleanElection => "unclean_election",
            Self::Unreadable => "unreadable",
        }
    }
}
