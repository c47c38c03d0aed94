//! Keys and values of the engine. The order of the bytes is the order of the replies.
//!
//! A name (user, session, country) is its bytes followed by a zero byte, which no valid name
//! contains. An instant is eight bytes, inverted where the newest comes first. The last byte of a
//! row that can be superseded places its marker directly before it.

use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, Departed, SessionFacts, SessionKey, SessionStart, Start},
    store::{Result, SessionPosition, StartPosition, StoreError},
    timestamp::Timestamp,
};

/// The last byte of a marker.
pub(super) const MARKER: u8 = 0;
/// The last byte of a row.
pub(super) const ROW: u8 = 1;
/// Greater than the last byte of both.
const AFTER: u8 = 2;

const START_DEPARTED: u8 = 1;
const END_DEPARTED: u8 = 2;

/// `user · session`.
pub(super) fn facts(key: &SessionKey) -> Vec<u8> {
    Writer::new().name(key.user.as_str()).name(key.session.as_str()).0
}

/// The prefix of all keys of one user, among the facts and among the completed sessions.
pub(super) fn user(user: &UserId) -> Vec<u8> {
    Writer::new().name(user.as_str()).0
}

/// The first key after all keys of one user.
pub(super) fn after_user(user: &UserId) -> Vec<u8> {
    let mut key = Writer::new();
    key.0.extend_from_slice(user.as_str().as_bytes());
    // One more than the zero byte that ends the name.
    key.byte(1)
}

/// The prefix of all keys of one country.
pub(super) fn country(country: &Country) -> Vec<u8> {
    Writer::new().name(country.as_str()).0
}

/// `user · ended_at, newest first · session · started_at · country · marker or row`.
pub(super) fn completed(row: &CompletedSession, last: u8) -> Vec<u8> {
    Writer::new()
        .name(row.user.as_str())
        .newest_first(row.ended_at)
        .name(row.session.as_str())
        .instant(row.started_at)
        .name(row.country.as_str())
        .byte(last)
}

/// The first key after every row of the session at `position`.
pub(super) fn after_completed(user: &UserId, position: &SessionPosition) -> Vec<u8> {
    let mut key = Writer::new().name(user.as_str()).newest_first(position.ts);
    key.0.extend_from_slice(position.session.as_str().as_bytes());
    key.byte(1)
}

/// The first key of the sessions of `user` that ended before `before`.
pub(super) fn completed_before(user: &UserId, before: Timestamp) -> Vec<u8> {
    Writer::new().name(user.as_str()).newest_first(before - 1).0
}

/// `country · ts, newest first · session · user · marker or row`.
pub(super) fn start(row: &SessionStart, last: u8) -> Vec<u8> {
    Writer::new()
        .name(row.country.as_str())
        .newest_first(row.ts)
        .name(row.session.as_str())
        .name(row.user.as_str())
        .byte(last)
}

/// The first key of the starts of `country` before `before`.
pub(super) fn starts_before(country: &Country, before: Timestamp) -> Vec<u8> {
    Writer::new().name(country.as_str()).newest_first(before - 1).0
}

/// The first key after the rows of the start at `position`.
pub(super) fn after_start(country: &Country, position: &StartPosition) -> Vec<u8> {
    Writer::new()
        .name(country.as_str())
        .newest_first(position.ts)
        .name(position.session.as_str())
        .name(position.user.as_str())
        .byte(AFTER)
}

/// Reads a key of the facts.
pub(super) fn read_facts_key(key: &[u8]) -> Option<SessionKey> {
    let mut reader = Reader(key);
    Some(SessionKey {
        user: UserId::stored(reader.name()?)?,
        session: SessionId::stored(reader.name()?)?,
    })
}

/// Reads a key of the completed sessions.
pub(super) fn read_completed(key: &[u8]) -> Option<CompletedSession> {
    let mut reader = Reader(key);
    let user = UserId::stored(reader.name()?)?;
    let ended_at = reader.newest_first()?;
    let session = SessionId::stored(reader.name()?)?;
    let started_at = reader.instant()?;
    let country = Country::stored(reader.name()?)?;
    Some(CompletedSession { user, session, country, started_at, ended_at })
}

/// Reads the time of a start; `prefix` is the length of its country's prefix.
pub(super) fn read_start_time(key: &[u8], prefix: usize) -> Option<Timestamp> {
    Reader(key.get(prefix..)?).newest_first()
}

/// Reads a key of the starts of `country`.
pub(super) fn read_start(key: &[u8], country: &Country) -> Option<SessionStart> {
    let mut reader = Reader(key.get(country.as_str().len() + 1..)?);
    let ts = reader.newest_first()?;
    let session = SessionId::stored(reader.name()?)?;
    let user = UserId::stored(reader.name()?)?;
    Some(SessionStart { user, session, country: country.clone(), ts })
}

/// The value of one session: flags for the kinds of facts that retention removed, the number of
/// starts, the starts, then the ends. Refuses more starts than one byte can count.
pub(super) fn write_facts(facts: &SessionFacts) -> Result<Vec<u8>> {
    let departed = facts.departed();
    let flags = if departed.start { START_DEPARTED } else { 0 }
        | if departed.end { END_DEPARTED } else { 0 };
    let starts = facts.starts().len();
    let Ok(count) = u8::try_from(starts) else {
        return Err(StoreError::Corrupt(format!("a session with {starts} starts")));
    };
    let mut writer = Writer::new();
    writer.0.extend([flags, count]);
    for start in facts.starts() {
        writer = writer.instant(start.ts).name(start.country.as_str());
    }
    for end in facts.ends() {
        writer = writer.instant(*end);
    }
    Ok(writer.0)
}

/// Reads a value of [`write_facts`].
pub(super) fn read_facts(value: &[u8]) -> Option<SessionFacts> {
    let mut reader = Reader(value);
    let flags = reader.byte()?;
    let departed = Departed { start: flags & START_DEPARTED != 0, end: flags & END_DEPARTED != 0 };
    let count = reader.byte()?;
    let mut starts = Vec::with_capacity(count.into());
    for _ in 0..count {
        let ts = reader.instant()?;
        starts.push(Start { ts, country: Country::stored(reader.name()?)? });
    }
    let mut ends = Vec::with_capacity(reader.0.len() / 8);
    while !reader.0.is_empty() {
        ends.push(reader.instant()?);
    }
    Some(SessionFacts::new(starts, ends, departed))
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(Vec::with_capacity(112))
    }

    fn name(mut self, name: &str) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self
    }

    /// With the sign bit flipped, bytes sort as the instants do, also before 1970.
    fn instant(mut self, ts: Timestamp) -> Self {
        self.0.extend_from_slice(&(ts.millis() ^ i64::MIN).to_be_bytes());
        self
    }

    fn newest_first(mut self, ts: Timestamp) -> Self {
        self.0.extend_from_slice(&(!(ts.millis() ^ i64::MIN)).to_be_bytes());
        self
    }

    fn byte(mut self, byte: u8) -> Vec<u8> {
        self.0.push(byte);
        self.0
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn name(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest.get(1..)?;
        str::from_utf8(name).ok()
    }

    fn millis(&mut self) -> Option<i64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*bytes))
    }

    fn instant(&mut self) -> Option<Timestamp> {
        Timestamp::from_millis(self.millis()? ^ i64::MIN)
    }

    fn newest_first(&mut self) -> Option<Timestamp> {
        Timestamp::from_millis(!self.millis()? ^ i64::MIN)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
}
