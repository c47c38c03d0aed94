//! Names the part of a text that makes it an invalid time, in words for the client.
//!
//! Only for texts that [`Timestamp::parse`] rejects: it reads them again, slowly, and decides
//! nothing.

use super::{Timestamp, days_in_month, two};

impl Timestamp {
    /// Returns what is wrong with a text that [`parse`](Self::parse) rejects: a clause without a
    /// full stop.
    #[must_use]
    pub fn fault(text: &str) -> &'static str {
        let bytes = text.as_bytes();
        let has = |shape: &str| begins_with(bytes, shape);
        if text.trim() != text {
            return "there is white space around it";
        }
        if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
            return if bytes.len() == 8 {
                "it is a date alone in the basic form; give a time of day"
            } else {
                "it is a number in quotes; send the milliseconds since 1970 without quotes"
            };
        }
        if has("####-##-##") {
            return after_date(bytes);
        }
        if has("########T") || has("########t") || has("######## ") {
            "the date is in the basic form; write it with hyphens"
        } else if has("####-W") || has("####W") {
            "it is a week date; write year, month and day"
        } else if has("####-###") && !has("####-####") {
            "it is an ordinal date; write year, month and day"
        } else if has("##:##") {
            "the date is missing"
        } else if has("##/##/") || has("####/##/##") || has("##.##.") || has("####.##.##") {
            "the date must be written as year, month and day with hyphens"
        } else {
            "it must begin with a date such as 2019-05-13"
        }
    }
}

/// The fault of a text that begins with a date in the right form.
fn after_date(text: &[u8]) -> &'static str {
    let number = |at: usize| two(text[at], text[at + 1]).unwrap_or(0);
    let (year, month, day) = (number(0) * 100 + number(2), number(5), number(8));
    if year == 0 {
        return "the year 0000 is not supported";
    }
    let Some(days) = days_in_month(year, month) else { return "there is no such month" };
    if day == 0 || day > days {
        return "there is no such day in this month";
    }
    let time = match &text[10..] {
        [] => return "it is a date alone; give a time of day",
        [b'T' | b't' | b' ', time @ ..] => time,
        _ => return "`T` or one space must separate the date from the time of day",
    };
    if begins_with(time, "####") {
        return "the time of day is in the basic form; write it with colons";
    }
    if !begins_with(time, "##:##") {
        return "the time of day must have two digits for hours and two for minutes, such as 09:30";
    }
    let number = |at: usize| two(time[at], time[at + 1]).unwrap_or(0);
    if number(0) > 23 {
        return "hours must be 00 to 23";
    }
    if number(3) > 59 {
        return "minutes must be 00 to 59";
    }
    after_minutes(&time[5..])
}

/// The fault of the seconds, their fraction or the zone.
fn after_minutes(text: &[u8]) -> &'static str {
    let zone = match text {
        [b':', ..] if !begins_with(text, ":##") => return "seconds must have two digits",
        [b':', tens, ones, rest @ ..] => {
            match two(*tens, *ones) {
                Some(0..=59) => {}
                Some(60) if super::offset(fraction_end(rest)).is_some() => {
                    return "there is no such leap second; they come only before midnight UTC";
                }
                Some(60) => {}
                _ => return "seconds must be 00 to 59",
            }
            match rest {
                [b'.', b'0'..=b'9', ..] => fraction_end(rest),
                [b'.', ..] => return "there are no digits after the point",
                [b',', ..] => return "a comma precedes the fraction of the second; write a point",
                _ => rest,
            }
        }
        [b'.' | b',', ..] => return "fractions of a minute are not supported",
        _ => text,
    };
    match zone {
        _ if zone.contains(&b'[') => "remove the name of the zone in brackets, and give an offset",
        [b'+' | b'-', ..] if super::offset(zone).is_some() => {
            "with its offset, it is outside the years 1 to 9999"
        }
        [b'+' | b'-', ..] => "the offset of the zone must be such as +02:00, at most 23:59",
        [] | b"Z" | b"z" | b" UTC" => "it is outside the years 1 to 9999",
        _ => "the zone must be `Z`, ` UTC` or an offset such as +02:00; names are not supported",
    }
}

/// The rest after the fraction of a second.
fn fraction_end(text: &[u8]) -> &[u8] {
    let Some(fraction) = text.strip_prefix(b".") else { return text };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &fraction[digits..]
}

/// Whether `text` begins with `shape`, in which `#` stands for a digit.
fn begins_with(text: &[u8], shape: &str) -> bool {
    text.len() >= shape.len()
        && shape.bytes().zip(text).all(|(shape, byte)| match shape {
            b'#' => byte.is_ascii_digit(),
            _ => shape == *byte,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_part_of_a_time_is_named() {
        let named = [
            ("2026-11-28T09:30:00[Europe/Berlin]", "the name of the zone in brackets"),
            ("2026-11-28T09:30:00+01:00[Europe/Berlin]", "the name of the zone in brackets"),
            ("2026-11-28T09:30:00 Z", "the zone must be"),
            ("2026-11-28T09:30:00 CET", "names are not supported"),
            ("2026-11-28T09:30:00 utc", "names are not supported"),
            ("2026-11-28T09:30:00+1:00", "the offset of the zone"),
            ("2026-11-28T09:30:00+24:00", "at most 23:59"),
            ("20261128T093000Z", "the date is in the basic form"),
            ("2026-11-28T093000Z", "the time of day is in the basic form"),
            ("20261128", "a date alone"),
            ("2026-11-28", "a date alone"),
            ("2026-11-28T9:30:00Z", "two digits for hours"),
            ("2026-11-28T09:30:00,5Z", "a comma"),
            ("2026-11-28T09:30:00.Z", "no digits after the point"),
            ("2026-11-28T09:30.5Z", "fractions of a minute"),
            ("2026-11-28T09:30:5Z", "seconds must have two digits"),
            ("2026-11-28T24:00:00Z", "hours"),
            ("2026-11-28T09:60Z", "minutes"),
            ("2026-11-28T09:30:61Z", "seconds must be 00 to 59"),
            ("2026-11-28T09:30:60Z", "no such leap second"),
            ("2026-13-28T09:30:00Z", "no such month"),
            ("2026-02-29T09:30:00Z", "no such day"),
            ("0000-02-29T09:30:00Z", "the year 0000"),
            ("0001-01-01T00:00:00+00:01", "outside the years"),
            ("9999-12-31T23:59:60Z", "no such leap second"),
            ("2026-W48-6T09:30:00Z", "a week date"),
            ("2026-332T09:30:00Z", "an ordinal date"),
            ("2026-11-28_09:30:00Z", "must separate the date"),
            (" 2026-11-28T09:30:00Z", "white space"),
            ("28.11.2026 09:30", "year, month and day"),
            ("11/28/2026 09:30", "year, month and day"),
            ("1795339800123", "a number in quotes"),
            ("09:30:00Z", "the date is missing"),
            ("", "must begin with a date"),
            ("yesterday", "must begin with a date"),
        ];
        for (text, part) in named {
            assert_eq!(Timestamp::parse(text), None, "{text}");
            assert!(Timestamp::fault(text).contains(part), "{text}: {}", Timestamp::fault(text));
        }
    }
}
