//! How rows are spelled in the engine, so that the order of the bytes is the order of the answers.
//!
//! A name (user, session, country) is its bytes and a zero byte, which no valid name contains. An instant is eight bytes,
//! inverted where the newest comes first. A row that can be superseded ends in a byte that puts its marker directly before it.

use crate::{
    event::{Country, SessionId, UserId},
    session::{CompletedSession, Departed, SessionFacts, SessionKey, SessionStart, Start},
    store::{SessionPosition, StartPosition},
    timestamp::Timestamp,
};

/// The last byte of a marker.
pub(super) const MARKER: u8 = 0;
/// The last byte of a row.
pub(super) const ROW: u8 = 1;
/// More than the last byte of either: what is behind both.
const BEHIND: u8 = 2;

const START_DEPARTED: u8 = 1;
const END_DEPARTED: u8 = 2;

/// `user · session`.
pub(super) fn facts(key: &SessionKey) -> Vec<u8> {
    Writer::new().name(key.user.as_str()).name(key.session.as_str()).0
}

/// The prefix of everything of one user, among the facts and among the completed sessions.
pub(super) fn user(user: &UserId) -> Vec<u8> {
    Writer::new().name(user.as_str()).0
}

/// The prefix of everything of one country.
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

/// Behind every row of the session at `position`.
pub(super) fn behind_completed(user: &UserId, position: &SessionPosition) -> Vec<u8> {
    behind(
        Writer::new()
            .name(user.as_str())
            .newest_first(position.ts)
            .name(position.session.as_str())
            .0,
    )
}

/// Where the sessions of `user` that ended before `before` begin.
pub(super) fn completed_before(user: &UserId, before: Timestamp) -> Vec<u8> {
    Writer::new().name(user.as_str()).newest_first(before - 1).0
}

/// Behind every key that begins with `prefix`, which ends with the zero byte of a name.
pub(super) fn behind(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
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

/// Where the starts of `country` that are older than `before` begin.
pub(super) fn starts_before(country: &Country, before: Timestamp) -> Vec<u8> {
    Writer::new().name(country.as_str()).newest_first(before - 1).0
}

/// Behind the row of the start at `position`.
pub(super) fn behind_start(country: &Country, position: &StartPosition) -> Vec<u8> {
    Writer::new()
        .name(country.as_str())
        .newest_first(position.ts)
        .name(position.session.as_str())
        .name(position.user.as_str())
        .byte(BEHIND)
}

/// The session of a key of the facts.
pub(super) fn read_facts_key(key: &[u8]) -> Option<SessionKey> {
    let mut reader = Reader(key);
    Some(SessionKey {
        user: UserId::new(reader.name()?)?,
        session: SessionId::new(reader.name()?)?,
    })
}

/// A completed session.
pub(super) fn read_completed(key: &[u8]) -> Option<CompletedSession> {
    let mut reader = Reader(key);
    let user = UserId::new(reader.name()?)?;
    let ended_at = reader.newest_first()?;
    let session = SessionId::new(reader.name()?)?;
    let started_at = reader.instant()?;
    let country = Country::from_normalised(reader.name()?)?;
    Some(CompletedSession { user, session, country, started_at, ended_at })
}

/// The time of a start; `prefix` is the length of its country's.
pub(super) fn read_start_time(key: &[u8], prefix: usize) -> Option<Timestamp> {
    Reader(key.get(prefix..)?).newest_first()
}

/// A start of `country`.
pub(super) fn read_start(key: &[u8], country: &Country) -> Option<SessionStart> {
    let mut reader = Reader(key.get(country.as_str().len() + 1..)?);
    let ts = reader.newest_first()?;
    let session = SessionId::new(reader.name()?)?;
    let user = UserId::new(reader.name()?)?;
    Some(SessionStart { user, session, country: country.clone(), ts })
}

/// The facts of one session: what has departed, the starts, then the ends.
pub(super) fn write_facts(facts: &SessionFacts) -> Vec<u8> {
    let departed = facts.departed();
    let flags = if departed.start { START_DEPARTED } else { 0 }
        | if departed.end { END_DEPARTED } else { 0 };
    let mut writer = Writer::new();
    writer.0.push(flags);
    // At most `session::MAX_FACTS` of either.
    writer.0.push(u8::try_from(facts.starts().len()).unwrap_or(u8::MAX));
    for start in facts.starts() {
        writer = writer.instant(start.ts).name(start.country.as_str());
    }
    for end in facts.ends() {
        writer = writer.instant(*end);
    }
    writer.0
}

/// What [`write_facts`] wrote.
pub(super) fn read_facts(value: &[u8]) -> Option<SessionFacts> {
    let mut reader = Reader(value);
    let flags = reader.byte()?;
    let departed = Departed { start: flags & START_DEPARTED != 0, end: flags & END_DEPARTED != 0 };
    let starts = (0..reader.byte()?)
        .map(|_| {
            Some(Start {
                ts: reader.instant()?,
                country: Country::from_normalised(reader.name()?)?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
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

    /// Flipping the sign bit makes the order of the bytes the order of the instants, before 1970 too.
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
