//! Cursors: the position at which a page ends and the query that it belongs to, as an opaque text
//! that is safe in a URL.
//!
//! A query with a cursor repeats the other parameters of the first query; only `limit` may change.
//! A cursor of another query is refused, because its page would be wrong. The cursor contains the
//! window of the first page, since a window given by `days` or `hours` moves with the clock.
//!
//! A cursor is a position in the order of the rows, not a count of rows. So rows that are added
//! while a client reads the pages neither hide nor repeat other rows. A cursor is not signed,
//! because it gives access to nothing that the query itself does not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    event::{Country, SessionId, UserId},
    session::Status,
    store::{SessionPosition, StartPosition, Window},
    timestamp::Timestamp,
};

use crate::{error::QueryError, sessions::After, window::Span};

/// Identifies a query: a hash of the parameters that all its pages share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct QueryHash(u64);

/// The position at which a page of starts ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartsCursor {
    /// The window of the first page, which all pages share.
    pub(crate) window: Window,
    /// The last country on the page.
    pub(crate) country: Country,
    /// The last start on the page, if the country may have more.
    pub(crate) last: Option<StartPosition>,
}

/// The encoded fields of a [`StartsCursor`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StartsWire {
    Within(i64, i64, String, i64, String, String),
    After(i64, i64, String),
}

/// The encoded fields of a [`SessionPosition`].
type PositionWire = (i64, String);

/// The encoded form of an [`After`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SessionsWire {
    Newest(PositionWire),
    Id(String, Option<PositionWire>),
}

impl QueryHash {
    pub(crate) fn starts<'a>(span: Span, countries: impl Iterator<Item = &'a Country>) -> Self {
        let countries: Vec<_> = countries.map(Country::as_str).collect();
        Self::of(&format!("starts {span:?} {}", countries.join(",")))
    }

    pub(crate) fn counts<'a>(
        span: Span,
        step: i64,
        countries: impl Iterator<Item = &'a Country>,
    ) -> Self {
        let countries: Vec<_> = countries.map(Country::as_str).collect();
        Self::of(&format!("counts {span:?} {step} {}", countries.join(",")))
    }

    pub(crate) fn sessions(user: &UserId, status: Status) -> Self {
        Self::of(&format!("sessions {status:?} {user}"))
    }

    /// Hashes with FNV-1a, whose result never changes. Cursors must stay valid after a restart and
    /// an upgrade, and the hashes of the standard library may change between its versions.
    fn of(text: &str) -> Self {
        let step =
            |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl StartsCursor {
    pub(crate) fn write(self, query: QueryHash) -> serde_json::Result<String> {
        let (from, to) = (self.window.from.millis(), self.window.to.millis());
        let country = self.country.as_str().to_owned();
        let wire = match self.last {
            None => StartsWire::After(from, to, country),
            Some(StartPosition { ts, session, user }) => {
                let (session, user) = (session.as_str().to_owned(), user.as_str().to_owned());
                StartsWire::Within(from, to, country, ts.millis(), session, user)
            }
        };
        encode(query, wire)
    }

    pub(crate) fn read(query: QueryHash, text: &str) -> Result<Self, QueryError> {
        let read = || {
            let (from, to, country, last) = match decode(query, text)? {
                StartsWire::After(from, to, country) => (from, to, country, None),
                StartsWire::Within(from, to, country, ts, session, user) => {
                    let ts = Timestamp::from_millis(ts)?;
                    let (session, user) = (SessionId::stored(&session)?, UserId::stored(&user)?);
                    (from, to, country, Some(StartPosition { ts, session, user }))
                }
            };
            let [from, to] = [from, to].map(Timestamp::from_millis);
            let window = Window { from: from?, to: to? };
            Some(Self { window, country: Country::stored(&country)?, last })
        };
        read().ok_or(QueryError::InvalidCursor)
    }
}

/// Encodes after what the next page of a user's sessions begins.
pub(crate) fn write_session(query: QueryHash, after: &After) -> serde_json::Result<String> {
    let position = |at: &SessionPosition| (at.ts.millis(), at.session.as_str().to_owned());
    let wire = match after {
        After::Newest(at) => SessionsWire::Newest(position(at)),
        After::Id(session, listed) => {
            SessionsWire::Id(session.as_str().to_owned(), listed.as_ref().map(position))
        }
    };
    encode(query, wire)
}

/// Decodes the result of [`write_session`].
pub(crate) fn read_session(query: QueryHash, text: &str) -> Result<After, QueryError> {
    let position = |(ts, session): PositionWire| {
        Some(SessionPosition {
            ts: Timestamp::from_millis(ts)?,
            session: SessionId::stored(&session)?,
        })
    };
    let read = || match decode::<SessionsWire>(query, text)? {
        SessionsWire::Newest(at) => Some(After::Newest(position(at)?)),
        SessionsWire::Id(session, None) => Some(After::Id(SessionId::stored(&session)?, None)),
        SessionsWire::Id(session, Some(listed)) => {
            Some(After::Id(SessionId::stored(&session)?, Some(position(listed)?)))
        }
    };
    read().ok_or(QueryError::InvalidCursor)
}

fn encode(query: QueryHash, position: impl Serialize) -> serde_json::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(query, position))?))
}

fn decode<T: DeserializeOwned>(query: QueryHash, text: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (of, position): (QueryHash, T) = serde_json::from_slice(&json).ok()?;
    (of == query).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> StartsCursor {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        StartsCursor {
            window: Window { from: at(-5), to: at(1_557_748_800_000) },
            country: Country::normalise("Türkiye"),
            last: Some(StartPosition {
                ts: at(1_557_000_000_001),
                session: SessionId::new("s \"/\\ 🍋").unwrap(),
                user: UserId::new("u+&=?").unwrap(),
            }),
        }
    }

    fn query() -> QueryHash {
        QueryHash::starts(Span::Last(1), [].into_iter())
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_needs_no_escaping() {
        let text = cursor().write(query()).unwrap();
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{text}"
        );
        assert_eq!(StartsCursor::read(query(), &text).unwrap(), cursor());
        let after = StartsCursor { last: None, ..cursor() };
        let text = after.clone().write(query()).unwrap();
        assert_eq!(StartsCursor::read(query(), &text).unwrap(), after);
    }

    #[test]
    fn a_cursor_belongs_to_its_query() {
        let (sk, de) = (Country::normalise("SK"), Country::normalise("DE"));
        let text = cursor().write(query()).unwrap();
        let others = [
            QueryHash::starts(Span::Last(2), [].into_iter()),
            QueryHash::starts(Span::Last(1), [&sk].into_iter()),
            QueryHash::starts(Span::Last(1), [&de].into_iter()),
            QueryHash::counts(Span::Last(1), 1, [].into_iter()),
            QueryHash::sessions(&UserId::new("u").unwrap(), Status::Complete),
            QueryHash::sessions(&UserId::new("u").unwrap(), Status::Open),
        ];
        for other in others {
            assert!(StartsCursor::read(other, &text).is_err());
            assert!(read_session(other, &text).is_err());
        }
    }

    #[test]
    fn a_question_keeps_its_hash_from_one_build_to_the_next() {
        assert_eq!(QueryHash::of("bookend"), QueryHash(0xb505_ae2b_372f_319d));
    }

    #[test]
    fn a_garbled_cursor_is_refused() {
        let text = cursor().write(query()).unwrap();
        for end in 0..text.len() {
            assert!(StartsCursor::read(query(), &text[..end]).is_err());
        }
        let forged = encode(query(), (0, 1, "not normalised", 0, "s", "u")).unwrap();
        assert!(StartsCursor::read(query(), &forged).is_err());
        let forged = encode(query(), (0, i64::MAX, "SK", 0, "s", "u")).unwrap();
        assert!(StartsCursor::read(query(), &forged).is_err());
        let forged = encode(query(), (0, 1, "SK", 0, "", "u")).unwrap();
        assert!(StartsCursor::read(query(), &forged).is_err());
    }
}
