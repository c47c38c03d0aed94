//! Writes events in the spelling of the clean profile.

use std::io::Write as _;

use shared::timestamp::Timestamp;

/// Writes a start (with its country) or an end as the original does: without a zone, which means
/// UTC.
pub(super) fn plain(
    user: u128,
    session: u128,
    at: Timestamp,
    country: Option<&str>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"user_id\":\"");
    hex(user, false, out);
    match country {
        Some(country) => {
            out.extend_from_slice(b"\",\"country\":\"");
            out.extend_from_slice(country.as_bytes());
            out.extend_from_slice(b"\",\"event\":\"start\",\"session_id\":\"");
        }
        None => out.extend_from_slice(b"\",\"event\":\"end\",\"session_id\":\""),
    }
    hex(session, true, out);
    out.extend_from_slice(b"\",\"ts\":\"");
    without_zone(at, out);
    out.extend_from_slice(b"\"}");
}

/// Writes `at` without its zone.
pub(super) fn without_zone(at: Timestamp, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail. The zone is the last byte.
    if write!(out, "{at}").is_ok() {
        out.pop();
    }
}

/// Writes 32 hexadecimal digits, optionally with the hyphens of a UUID.
pub(super) fn hex(id: u128, hyphenated: bool, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (position, byte) in id.to_be_bytes().into_iter().enumerate() {
        if hyphenated && matches!(position, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Turns random bits into a random UUID (version 4), which is never the nil UUID.
pub(super) fn as_uuid(bits: u128) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    bits & !VERSION & !VARIANT | 4 << 76 | 0b10 << 62
}
