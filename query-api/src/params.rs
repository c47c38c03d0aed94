//! The parameters that are numbers.

use shared::http::Params;

use crate::error::QueryError;

/// Returns `limit`, or its default.
pub(crate) fn limit(params: &Params, default: usize, most: usize) -> Result<usize, QueryError> {
    Ok(number(params, "limit", most)?.unwrap_or(default))
}

/// Returns the value of a parameter that is a number from 1 to `most`.
pub(crate) fn number(
    params: &Params,
    name: &'static str,
    most: usize,
) -> Result<Option<usize>, QueryError> {
    let Some(text) = params.one(name) else { return Ok(None) };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| plain && (1..=most).contains(number));
    number.map(Some).ok_or(QueryError::InvalidNumber(name, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_plain_number_within_its_bounds() {
        let limit = |query| limit(&Params::parse(query, &["limit"]).unwrap(), 20, 100).ok();
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
