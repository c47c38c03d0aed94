//! Cursors: where a reply was cut, and of which question, as an opaque text that is safe in a URL.
//!
//! With a cursor the other parameters are given again and have to be the same (but for `limit`): a cursor that strayed into
//! another question is refused rather than answered wrongly. The window is the one of the first page, which the cursor
//! holds, for the window of `days` and `hours` would move on.
//!
//! A cursor holds a position in the order of the answer, not a count of what was listed: what is added while a client
//! reads on neither moves what it has not read yet nor brings back what it has. It is not signed, for it opens
//! nothing that its own question would not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    event::{Country, SessionId, UserId},
    session::{SessionStart, Status},
    store::{SessionPosition, StartPosition, Window},
    timestamp::Timestamp,
};

use crate::{error::QueryError, window::Span};

/// What a question is recognised by: a hash of everything that its pages have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Question(u64);

/// Where a reply with the starts of countries was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartsCursor {
    /// The window of the first page: all pages have the same.
    pub(crate) window: Window,
    /// The country in which it was cut.
    pub(crate) country: Country,
    /// The last start that was listed.
    pub(crate) last: StartPosition,
}

/// The spelling of a [`StartsCursor`].
type StartsWire = (i64, i64, String, i64, String, String);
/// The spelling of a [`SessionPosition`].
type SessionsWire = (i64, String);

impl Question {
    pub(crate) fn starts<'a>(span: Span, countries: impl Iterator<Item = &'a Country>) -> Self {
        let countries: Vec<_> = countries.map(Country::as_str).collect();
        Self::of(&format!("starts {span:?} {}", countries.join(",")))
    }

    pub(crate) fn sessions(user: &UserId, status: Status) -> Self {
        Self::of(&format!("sessions {status:?} {user}"))
    }

    /// FNV-1a: cursors must outlive a restart and an upgrade, which the standard library's hashes do not promise.
    fn of(text: &str) -> Self {
        let step =
            |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl StartsCursor {
    /// Behind `last`.
    pub(crate) fn behind(window: Window, last: &SessionStart) -> Self {
        let SessionStart { user, session, country, ts } = last.clone();
        Self { window, country, last: StartPosition { ts, session, user } }
    }

    pub(crate) fn write(&self, question: Question) -> String {
        let Self { window, country, last } = self;
        encode(
            question,
            (
                window.from.millis(),
                window.to.millis(),
                country.as_str(),
                last.ts.millis(),
                last.session.as_str(),
                last.user.as_str(),
            ),
        )
    }

    pub(crate) fn read(question: Question, text: &str) -> Result<Self, QueryError> {
        let read = || {
            let (from, to, country, ts, session, user) = decode::<StartsWire>(question, text)?;
            Some(Self {
                window: Window {
                    from: Timestamp::from_millis(from)?,
                    to: Timestamp::from_millis(to)?,
                },
                country: Country::from_normalised(&country)?,
                last: StartPosition {
                    ts: Timestamp::from_millis(ts)?,
                    session: SessionId::new(&session)?,
                    user: UserId::new(&user)?,
                },
            })
        };
        read().ok_or(QueryError::InvalidCursor)
    }
}

/// Spells where a listing of a user's sessions was cut.
pub(crate) fn write_session(question: Question, position: &SessionPosition) -> String {
    encode(question, (position.ts.millis(), position.session.as_str()))
}

/// Reads what [`write_session`] spelled.
pub(crate) fn read_session(question: Question, text: &str) -> Result<SessionPosition, QueryError> {
    let read = || {
        let (ts, session) = decode::<SessionsWire>(question, text)?;
        Some(SessionPosition {
            ts: Timestamp::from_millis(ts)?,
            session: SessionId::new(&session)?,
        })
    };
    read().ok_or(QueryError::InvalidCursor)
}

fn encode(question: Question, position: impl Serialize) -> String {
    // Numbers and texts always have a JSON.
    let json = serde_json::to_vec(&(question, position)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

fn decode<T: DeserializeOwned>(question: Question, text: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (of, position): (Question, T) = serde_json::from_slice(&json).ok()?;
    (of == question).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> StartsCursor {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        StartsCursor {
            window: Window { from: at(-5), to: at(1_557_748_800_000) },
            country: Country::normalise("Türkiye"),
            last: StartPosition {
                ts: at(1_557_000_000_001),
                session: SessionId::new("s \"/\\ 🍋").unwrap(),
                user: UserId::new("u+&=?").unwrap(),
            },
        }
    }

    fn question() -> Question {
        Question::starts(Span::Last(1), [].into_iter())
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_needs_no_escaping() {
        let text = cursor().write(question());
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{text}"
        );
        assert_eq!(StartsCursor::read(question(), &text).unwrap(), cursor());
    }

    #[test]
    fn a_cursor_belongs_to_its_question() {
        let (sk, de) = (Country::normalise("SK"), Country::normalise("DE"));
        let text = cursor().write(question());
        let others = [
            Question::starts(Span::Last(2), [].into_iter()),
            Question::starts(Span::Last(1), [&sk].into_iter()),
            Question::starts(Span::Last(1), [&de].into_iter()),
            Question::sessions(&UserId::new("u").unwrap(), Status::Complete),
            Question::sessions(&UserId::new("u").unwrap(), Status::Open),
        ];
        for other in others {
            assert!(StartsCursor::read(other, &text).is_err());
            assert!(read_session(other, &text).is_err());
        }
    }

    #[test]
    fn a_question_keeps_its_hash_from_one_build_to_the_next() {
        assert_eq!(Question::of("bookend"), Question(0xb505_ae2b_372f_319d));
    }

    #[test]
    fn a_garbled_cursor_is_refused() {
        let text = cursor().write(question());
        for end in 0..text.len() {
            assert!(StartsCursor::read(question(), &text[..end]).is_err());
        }
        let forged = encode(question(), (0, 1, "not normalised", 0, "s", "u"));
        assert!(StartsCursor::read(question(), &forged).is_err());
        let forged = encode(question(), (0, i64::MAX, "SK", 0, "s", "u"));
        assert!(StartsCursor::read(question(), &forged).is_err());
        let forged = encode(question(), (0, 1, "SK", 0, "", "u"));
        assert!(StartsCursor::read(question(), &forged).is_err());
    }
}
