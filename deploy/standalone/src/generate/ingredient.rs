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
    /// Spelling: `ts` with a fraction finer than a millisecond, which is cut and not rounded.
    Fraction,
    /// Spelling: `ts` with `Z`.
    Zulu,
    /// Spelling: `ts` with a blank for the `T`.
    BlankForT,
    /// Spelling: the country in lower case.
    LowerCountry,
    /// Spelling: the country amid blanks and punctuation.
    DirtyCountry,
    /// Spelling: no country at all, which means `ZZ`.
    MissingCountry,
    /// Spelling: `"country": null`, which means `ZZ`.
    NullCountry,
    /// Spelling: an empty country, which means `ZZ`.
    EmptyCountry,
    /// Spelling: a country of more than 16 characters, which is cut.
    LongCountry,
    /// Spelling: a country of letters beyond ASCII.
    UnicodeCountry,
    /// Spelling: a country on an end too, and of a wrong type: it is ignored there.
    CountryOnEnd,
    /// Spelling: fields nobody knows, nested ones among them.
    UnknownFields,
    /// Spelling: the fields in another order, blanks between all tokens and a carriage return at the end.
    Spacious,
    /// Spelling: keys and values with `\u` escapes.
    Escaped,
    /// Spelling: a session id as nobody expects it: slashes, quotes, per cent, emoji, 128 bytes, `..` and others.
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
    /// Conflict: an end at the very instant of the start.
    EndAtStart,
    /// Conflict: the same session id under another user: another session.
    SharedSessionId,
    /// Conflict: up to 34 further starts and ends of one session. With all its conflicts a session has at most 40 facts.
    Crowd,

    /// Repetition: the same line once more, anywhere.
    Repeated,
    /// Repetition: the same line twice in a row.
    RepeatedAtOnce,

    /// Fault: JSON that breaks off.
    BrokenJson,
    /// Fault: a whole event and then something else on the same line.
    TrailingGarbage,
    /// Fault: an array with an event in it.
    Array,
    /// Fault: a number, a text, `true` or `null` instead of an object.
    Scalar,
    /// Fault: bytes that are not UTF-8.
    InvalidUtf8,
    /// Fault: half of a surrogate pair, escaped, in the `ts`.
    LoneSurrogate,
    /// Fault: ten thousand arrays in each other.
    DeepNesting,
    /// Fault: a key twice, with equal values.
    DuplicateKey,
    /// Fault: `user_id` and `player_id` with equal values: the alias counts as its key.
    AliasTwice,
    /// Fault: `user_id` and `player_id` with different values.
    ConflictingUsers,
    /// Fault: no user, or `null`, or an empty one.
    MissingUser,
    /// Fault: no session, or `null`, or an empty one.
    MissingSession,
    /// Fault: neither start nor end said, or `null`, or empty.
    MissingEvent,
    /// Fault: no instant, or `null`, or an empty one.
    MissingTs,
    /// Fault: a user that a program made of nothing: `null`, `undefined`, `[object Object]`, the nil UUID.
    JunkUser,
    /// Fault: such a session.
    JunkSession,
    /// Fault: a user that is a number, a truth value, an array or an object.
    UserOfAnotherType,
    /// Fault: such a session.
    SessionOfAnotherType,
    /// Fault: a user of 129 bytes.
    LongUser,
    /// Fault: a session id of five thousand bytes.
    HugeSession,
    /// Fault: a control character in the user.
    ControlCharacter,
    /// Fault: an event that is neither start nor end, or no text.
    UnknownEvent,
    /// Fault: a `ts` that is no instant, or not in one of the known forms.
    BadTs,
    /// Fault: a `ts` that is a fraction, a truth value, an array or an object.
    TsOfAnotherType,
    /// Fault: a country that is no text.
    CountryOfAnotherType,
    /// Fault: more than a year before the data set's end.
    Expired,
    /// Fault: a month after the data set's end.
    Future,
}

impl Ingredient {
    /// All spellings.
    pub const SPELLINGS: [Self; 18] = [
        Self::Alias,
        Self::EpochMillis,
        Self::Offset,
        Self::Fraction,
        Self::Zulu,
        Self::BlankForT,
        Self::LowerCountry,
        Self::DirtyCountry,
        Self::MissingCountry,
        Self::NullCountry,
        Self::EmptyCountry,
        Self::LongCountry,
        Self::UnicodeCountry,
        Self::CountryOnEnd,
        Self::UnknownFields,
        Self::Spacious,
        Self::Escaped,
        Self::OddSessionId,
    ];

    /// All conflicts.
    pub const CONFLICTS: [Self; 10] = [
        Self::LaterStart,
        Self::EarlierStart,
        Self::SameInstantStart,
        Self::NextMillisecondStart,
        Self::LaterEnd,
        Self::EarlierEnd,
        Self::EndBeforeStart,
        Self::EndAtStart,
        Self::SharedSessionId,
        Self::Crowd,
    ];

    /// All faults, each with the code that it is refused with by a service whose clock shows the data set's end.
    pub const FAULTS: [(Self, Code); 27] = [
        (Self::BrokenJson, Code::NotAnObject),
        (Self::TrailingGarbage, Code::NotAnObject),
        (Self::Array, Code::NotAnObject),
        (Self::Scalar, Code::NotAnObject),
        (Self::InvalidUtf8, Code::NotAnObject),
        (Self::LoneSurrogate, Code::InvalidTs),
        (Self::DeepNesting, Code::NotAnObject),
        (Self::DuplicateKey, Code::DuplicateKey),
        (Self::AliasTwice, Code::DuplicateKey),
        (Self::ConflictingUsers, Code::ConflictingUserId),
        (Self::MissingUser, Code::MissingUserId),
        (Self::MissingSession, Code::MissingSessionId),
        (Self::MissingEvent, Code::MissingEvent),
        (Self::MissingTs, Code::MissingTs),
        (Self::JunkUser, Code::InvalidUserId),
        (Self::JunkSession, Code::InvalidSessionId),
        (Self::UserOfAnotherType, Code::InvalidUserId),
        (Self::SessionOfAnotherType, Code::InvalidSessionId),
        (Self::LongUser, Code::InvalidUserId),
        (Self::HugeSession, Code::InvalidSessionId),
        (Self::ControlCharacter, Code::InvalidUserId),
        (Self::UnknownEvent, Code::InvalidEvent),
        (Self::BadTs, Code::InvalidTs),
        (Self::TsOfAnotherType, Code::InvalidTs),
        (Self::CountryOfAnotherType, Code::InvalidCountry),
        (Self::Expired, Code::Expired),
        (Self::Future, Code::Future),
    ];
}
