//! The parameters of a query string.

use percent_encoding::percent_decode_str;
use thiserror::Error;
use warp::http::StatusCode;

use super::{code::ErrorCode, reply::HttpError};

/// The only parameter that may be repeated.
pub const COUNTRY: &str = "country";

/// The number of characters of an unknown parameter's name that the error repeats.
const SHOWN: usize = 40;

/// Decoded parameters. The call supports each of them, and each except [`COUNTRY`] occurs only
/// once.
#[derive(Debug)]
pub struct Params(Vec<(&'static str, String)>);

/// Why a query string is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// It is not percent-encoded UTF-8.
    #[error("the query string is not valid; percent-encode it as UTF-8")]
    Invalid,
    /// The call does not support a parameter.
    #[error("unknown parameter `{name}`; this call supports {known}")]
    Unknown {
        /// The beginning of its name.
        name: String,
        /// The parameters that the call supports, in words.
        known: String,
    },
    /// A parameter is given twice.
    #[error("the parameter `{0}` is given more than once; give it once")]
    Repeated(&'static str),
}

impl ParamsError {
    /// The error for a parameter that is not one of `known`.
    #[must_use]
    pub fn unknown(name: &str, known: &[&str]) -> Self {
        let listed: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "no parameters".to_owned() } else { listed.join(", ") };
        Self::Unknown { name: name.chars().take(SHOWN).collect(), known }
    }

    /// The code in the reply.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::InvalidQuery,
            Self::Unknown { .. } => ErrorCode::UnknownParameter,
            Self::Repeated(_) => ErrorCode::RepeatedParameter,
        }
    }

    /// The error as a client receives it.
    #[must_use]
    pub fn http(&self) -> HttpError {
        HttpError::new(StatusCode::BAD_REQUEST, self.code(), self.to_string())
    }
}

impl Params {
    /// Reads a query string; `known` are the parameters that the call supports.
    pub fn parse(query: &str, known: &[&'static str]) -> Result<Self, ParamsError> {
        Self::read(query, known, |name| Err(ParamsError::unknown(name, known)))
    }

    /// The same for a call of older clients or a page: other parameters are ignored, such as those
    /// that clients add to avoid caches.
    pub fn parse_known(query: &str, known: &[&'static str]) -> Result<Self, ParamsError> {
        Self::read(query, known, |_| Ok(()))
    }

    fn read(
        query: &str,
        known: &[&'static str],
        unknown: impl Fn(&str) -> Result<(), ParamsError>,
    ) -> Result<Self, ParamsError> {
        let mut params = Self(Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Forms, and clients that behave like them, encode a space as `+`.
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            let decoded = decode(name);
            let named = |known: &&&'static str| decoded.as_deref() == Some(**known);
            let Some(name) = known.iter().find(named).copied() else {
                if let Err(error) = unknown(decoded.as_deref().unwrap_or_default()) {
                    let is_text = decoded.is_some() && decode(value).is_some();
                    return Err(if is_text { error } else { ParamsError::Invalid });
                }
                continue;
            };
            let value = decode(value).ok_or(ParamsError::Invalid)?;
            if name != COUNTRY && params.one(name).is_some() {
                return Err(ParamsError::Repeated(name));
            }
            params.0.push((name, value));
        }
        Ok(params)
    }

    /// Returns the value of a parameter.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns every value of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }
}

/// Percent-decodes a text once; `None` when a `%` is not followed by two hexadecimal digits, or
/// when the result is not UTF-8. The library alone would keep half an escape as it stands.
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let whole = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(whole) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_exactly_once() {
        assert_eq!(percent_decode("a%2Fb%20c").as_deref(), Some("a/b c"));
        assert_eq!(percent_decode("100%2525").as_deref(), Some("100%25"));
        assert_eq!(percent_decode("%F0%9F%8D%8B").as_deref(), Some("🍋"));
    }

    #[test]
    fn half_an_escape_or_half_a_character_is_no_text() {
        for text in ["%", "%4", "%4g", "%+1", "a%zz", "%FF", "%F0%9F"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_plus_is_a_blank_and_an_escaped_plus_is_a_plus() {
        let params = Params::parse("user_id=a+b%2Bc", &["user_id"]).unwrap();
        assert_eq!(params.one("user_id"), Some("a b+c"));
    }

    #[test]
    fn a_country_may_be_repeated_and_nothing_else() {
        let params = Params::parse("country=SK&country=DE&", &["country"]).unwrap();
        assert_eq!(params.all("country").collect::<Vec<_>>(), ["SK", "DE"]);
        let again = Params::parse("days=1&days=1", &["days"]).unwrap_err();
        assert_eq!(again.to_string(), "the parameter `days` is given more than once; give it once");
    }

    #[test]
    fn an_unknown_parameter_is_named_together_with_the_known_ones() {
        let error = Params::parse("day=1", &["days", "hours"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown parameter `day`; this call supports `days`, `hours`"
        );
    }

    #[test]
    fn an_older_call_ignores_unknown_parameters_with_any_value() {
        let params = Params::parse_known("_=1&days=1&%FF=%FF&x", &["days"]).unwrap();
        assert_eq!(params.one("days"), Some("1"));
        for (query, error) in
            [("days=1&days=2", ParamsError::Repeated("days")), ("days=%FF", ParamsError::Invalid)]
        {
            assert_eq!(Params::parse_known(query, &["days"]).unwrap_err(), error, "{query}");
        }
        for query in ["%FF=1", "x=%FF"] {
            assert_eq!(Params::parse(query, &["days"]).unwrap_err(), ParamsError::Invalid);
        }
    }
}
