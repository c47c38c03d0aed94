//! How an event is written: the plain way of the clean profile, and ids in their usual spelling.

use std::io::Write as _;

use shared::timestamp::Timestamp;

/// Writes a start (with its country) or an end, in the original's spelling: no zone, which means UTC.
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
    // Writing to a Vec cannot fail, and only the zone, which is the last byte, is too much.
    if write!(out, "{at}").is_ok() {
        out.pop();
    }
}

/// Writes 32 hexadecimal digits, hyphenated as a UUID is or not at all.
pub(super) fn hex(id: u128, hyphenated: bool, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (position, byte) in id.to_be_bytes().into_iter().enumerate() {
        if hyphenated && matches!(position, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Random bits as a random UUID (version 4), which never is the nil one.
pub(super) fn as_uuid(bits: u128) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    bits & !VERSION & !VARIANT | 4 << 76 | 0b10 << 62
}
