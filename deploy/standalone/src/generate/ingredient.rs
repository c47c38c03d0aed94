//! The ingredients of the hostile profile, and the expected rejection of each faulty one.

use shared::event::RejectionCode as Code;

/// A line besides the events of the clean profile: a conflict or a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extra {
    pub(super) ingredient: Ingredient,
    /// The session that provides the ids and times.
    pub(super) session: u32,
    /// Random bits that choose between the forms of an ingredient.
    pub(super) salt: u32,
}

/// One ingredient of the hostile profile.
///
/// A *spelling* writes an event of the clean profile differently; most do not change its meaning. A
/// *conflict* is another valid event of an existing session, and pairing decides its effect. A
/// *repetition* has no effect. A *fault* is an invalid line. It has the ids and times of a real
/// session, so that accepting it by mistake would be visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingredient {
    /// Spelling: `player_id` instead of `user_id`.
    Alias,
    /// Spelling: `ts` as an integer, milliseconds since the epoch.
    EpochMillis,
    /// Spelling: `ts` with an offset from UTC.
    Offset,
    /// Spelling: `ts` with a fraction finer than a millisecond, which is truncated.
    Fraction,
    /// Spelling: `ts` with `Z`.
    Zulu,
    /// Spelling: `ts` with a blank in place of the `T`.
    BlankForT,
    /// Spelling: the country in lower case.
    LowerCountry,
    /// Spelling: the country with blanks and punctuation.
    DirtyCountry,
    /// Spelling: no country, which means `ZZ`.
    MissingCountry,
    /// Spelling: `"country": null`, which means `ZZ`.
    NullCountry,
    /// Spelling: an empty country, which means `ZZ`.
    EmptyCountry,
    /// Spelling: a country of more than 16 characters, which is cut.
    LongCountry,
    /// Spelling: a country with letters outside ASCII.
    UnicodeCountry,
    /// Spelling: a country of a wrong type on an end, which is ignored.
    CountryOnEnd,
    /// Spelling: unknown fields, some of them nested.
    UnknownFields,
    /// Spelling: another order of fields, blanks between tokens and a carriage return at the end.
    Spacious,
    /// Spelling: keys and values with `\u` escapes.
    Escaped,
    /// Spelling: an unusual session id: slashes, quotes, percent signs, emoji, 128 bytes, `..`.
    OddSessionId,

    /// Conflict: a second start, later.
    LaterStart,
    /// Conflict: a second start, earlier.
    EarlierStart,
    /// Conflict: a second start at the same instant, in another country.
    SameInstantStart,
    /// Conflict: a second start, one millisecond later, in another country.
    NextMillisecondStart,
    /// Conflict: a second end, later.
    LaterEnd,
    /// Conflict: a second end, earlier, but not before the start.
    EarlierEnd,
    /// Conflict: an end before the start.
    EndBeforeStart,
    /// Conflict: an end at the instant of the start.
    EndAtStart,
    /// Conflict: the same session id with another user, which is another session.
    SharedSessionId,
    /// Conflict: up to 34 more starts and ends of one session. No session has over 40 facts in
    /// total.
    Crowd,

    /// Repetition: the same line again, at any position.
    Repeated,
    /// Repetition: the same line twice in a row.
    RepeatedAtOnce,

    /// Fault: truncated JSON.
    BrokenJson,
    /// Fault: an event followed by other text on the same line.
    TrailingGarbage,
    /// Fault: an array that contains an event.
    Array,
    /// Fault: a number, a text, `true` or `null` instead of an object.
    Scalar,
    /// Fault: bytes that are not UTF-8.
    InvalidUtf8,
    /// Fault: half of a surrogate pair, escaped, in the `ts`.
    LoneSurrogate,
    /// Fault: ten thousand nested arrays.
    DeepNesting,
    /// Fault: a key twice, with equal values.
    DuplicateKey,
    /// Fault: `user_id` and `player_id` with equal values, which is a repeated key.
    AliasTwice,
    /// Fault: `user_id` and `player_id` with different values.
    ConflictingUsers,
    /// Fault: no user, or `null`, or an empty one.
    MissingUser,
    /// Fault: no session, or `null`, or an empty one.
    MissingSession,
    /// Fault: no event, or `null`, or an empty one.
    MissingEvent,
    /// Fault: no time, or `null`, or an empty one.
    MissingTs,
    /// Fault: a placeholder as user: `null`, `undefined`, `[object Object]`, the nil UUID.
    JunkUser,
    /// Fault: a placeholder as session.
    JunkSession,
    /// Fault: a user that is a number, a boolean, an array or an object.
    UserOfAnotherType,
    /// Fault: a session of such a type.
    SessionOfAnotherType,
    /// Fault: a user of 129 bytes.
    LongUser,
    /// Fault: a session id of five thousand bytes.
    HugeSession,
    /// Fault: a control character in the user.
    ControlCharacter,
    /// Fault: an event that is neither start nor end, or not a string.
    UnknownEvent,
    /// Fault: a `ts` that is not a time, or not in a supported format.
    BadTs,
    /// Fault: a `ts` that is a fraction, a boolean, an array or an object.
    TsOfAnotherType,
    /// Fault: a country that is not a string.
    CountryOfAnotherType,
    /// Fault: more than a year before the end of the data set.
    Expired,
    /// Fault: a month after the end of the data set.
    Future,
}

impl Ingredient {
    /// All spellings.
    #[rustfmt::skip]
    pub const SPELLINGS: [Self; 18] = [
        Self::Alias, Self::EpochMillis, Self::Offset, Self::Fraction, Self::Zulu, Self::BlankForT,
        Self::LowerCountry, Self::DirtyCountry, Self::MissingCountry, Self::NullCountry,
        Self::EmptyCountry, Self::LongCountry, Self::UnicodeCountry, Self::CountryOnEnd,
        Self::UnknownFields, Self::Spacious, Self::Escaped, Self::OddSessionId,
    ];

    /// All conflicts.
    #[rustfmt::skip]
    pub const CONFLICTS: [Self; 10] = [
        Self::LaterStart, Self::EarlierStart, Self::SameInstantStart, Self::NextMillisecondStart,
        Self::LaterEnd, Self::EarlierEnd, Self::EndBeforeStart, Self::EndAtStart,
        Self::SharedSessionId, Self::Crowd,
    ];

    /// All faults, each with the code of its rejection if the clock of the service shows the end of
    /// the data set.
    #[rustfmt::skip]
    pub const FAULTS: [(Self, Code); 27] = [
        (Self::BrokenJson, Code::NotAnObject), (Self::TrailingGarbage, Code::NotAnObject),
        (Self::Array, Code::NotAnObject), (Self::Scalar, Code::NotAnObject),
        (Self::InvalidUtf8, Code::NotAnObject), (Self::LoneSurrogate, Code::InvalidTs),
        (Self::DeepNesting, Code::NotAnObject), (Self::DuplicateKey, Code::DuplicateKey),
        (Self::AliasTwice, Code::DuplicateKey), (Self::ConflictingUsers, Code::ConflictingUserId),
        (Self::MissingUser, Code::MissingUserId), (Self::MissingSession, Code::MissingSessionId),
        (Self::MissingEvent, Code::MissingEvent), (Self::MissingTs, Code::MissingTs),
        (Self::JunkUser, Code::InvalidUserId), (Self::JunkSession, Code::InvalidSessionId),
        (Self::UserOfAnotherType, Code::InvalidUserId),
        (Self::SessionOfAnotherType, Code::InvalidSessionId), (Self::LongUser, Code::InvalidUserId),
        (Self::HugeSession, Code::InvalidSessionId), (Self::ControlCharacter, Code::InvalidUserId),
        (Self::UnknownEvent, Code::InvalidEvent), (Self::BadTs, Code::InvalidTs),
        (Self::TsOfAnotherType, Code::InvalidTs),
        (Self::CountryOfAnotherType, Code::InvalidCountry), (Self::Expired, Code::Expired),
        (Self::Future, Code::Future),
    ];
}
