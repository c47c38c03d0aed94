//! The parameters of a query string.

use percent_encoding::percent_decode_str;

use crate::error::QueryError;

/// The only parameter that may be repeated.
pub(crate) const COUNTRY: &str = "country";

/// The number of characters of an unknown parameter's name that the error repeats.
const SHOWN: usize = 40;

/// Decoded parameters. The call supports each of them, and each except [`COUNTRY`] occurs only
/// once.
#[derive(Debug)]
pub(crate) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// Reads a query string; `known` are the parameters that the call supports.
    pub(crate) fn parse(query: &str, known: &[&'static str]) -> Result<Self, QueryError> {
        let mut params = Self(Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Forms, and clients that behave like them, encode a space as `+`.
            let decode = |text: &str| {
                percent_decode(&text.replace('+', " ")).ok_or(QueryError::InvalidQuery)
            };
            let (name, value) = (decode(name)?, decode(value)?);
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                return Err(unknown(&name, known));
            };
            if name != COUNTRY && params.one(name).is_some() {
                return Err(QueryError::RepeatedParameter(name));
            }
            params.0.push((name, value));
        }
        Ok(params)
    }

    /// Returns the value of a parameter.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns every value of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// Returns `limit`, or its default.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, QueryError> {
        Ok(self.number("limit", most)?.unwrap_or(default))
    }

    /// Returns the value of a parameter that is a number from 1 to `most`.
    pub(crate) fn number(
        &self,
        name: &'static str,
        most: usize,
    ) -> Result<Option<usize>, QueryError> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| plain && (1..=most).contains(number));
        number.map(Some).ok_or(QueryError::InvalidNumber(name, most))
    }
}

/// The error for a parameter that is not one of `known`.
pub(crate) fn unknown(name: &str, known: &[&str]) -> QueryError {
    let listed: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() { "no parameters".to_owned() } else { listed.join(", ") };
    QueryError::UnknownParameter { name: name.chars().take(SHOWN).collect(), known }
}

/// Percent-decodes a text once; `None` when a `%` is not followed by two hexadecimal digits, or
/// when the result is not UTF-8. The library alone would keep half an escape as it stands.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
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
    fn a_limit_is_a_plain_number_within_its_bounds() {
        let limit = |query| Params::parse(query, &["limit"]).unwrap().limit(20, 100).ok();
        assert_eq!(
            (limit(""), limit("limit=1"), limit("limit=100")),
            (Some(20), Some(1), Some(100))
        );
        for wrong in
            ["limit=0", "limit=101", "limit=", "limit=-1", "limit=%2B5", "limit=1e1", "limit=many"]
        {
            assert_eq!(limit(wrong), None, "{wrong}");
        }
    }
}
