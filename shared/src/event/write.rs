//! Writes an event as it is stored in the log.

use super::SessionEvent;

/// The longest id in bytes, when each byte is escaped.
const LONGEST_ID: usize = 2 * super::id::LONGEST;
/// The longest country in bytes: each character has at most four.
const LONGEST_COUNTRY: usize = 4 * super::country::LONGEST;
/// The longest event without its ids and its country.
const EMPTY: &str = concat!(
    r#"{"user_id":"","session_id":"","event":"start","#,
    r#""ts":"2026-11-28T09:30:00.000Z","country":""}"#
);

impl SessionEvent {
    /// The most bytes that [`write_json`](Self::write_json) appends.
    pub const LONGEST_JSON: usize = EMPTY.len() + 2 * LONGEST_ID + LONGEST_COUNTRY;

    /// Appends the canonical JSON of the event to `out`, on one line. [`parse`](Self::parse)
    /// returns the same event.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"user_id":""#);
        write_escaped(self.user().as_str(), out);
        out.extend_from_slice(br#"","session_id":""#);
        write_escaped(self.session().as_str(), out);
        out.extend_from_slice(match self {
            Self::Start { .. } => br#"","event":"start","ts":""#.as_slice(),
            Self::End { .. } => br#"","event":"end","ts":""#,
        });
        out.extend_from_slice(self.ts().rfc3339(&mut [0; 24]).as_bytes());
        if let Self::Start { country, .. } = self {
            out.extend_from_slice(br#"","country":""#);
            out.extend_from_slice(country.as_str().as_bytes());
        }
        out.extend_from_slice(br#""}"#);
    }
}

/// Escapes the quote and the backslash. An id has no control characters, so nothing else needs it.
fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let needs_escape = |byte: u8| (byte == b'"') | (byte == b'\\');
    // Without an early exit, the compiler turns the loop into vector instructions.
    if !text.bytes().fold(false, |any, byte| any | needs_escape(byte)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        if needs_escape(byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_is_longer_than_the_longest() {
        let id = "\"".repeat(128);
        let country = "\u{10400}".repeat(16);
        let event = serde_json::json!({
            "user_id": id, "session_id": id, "event": "start", "ts": 1_557_748_800_001_i64,
            "country": country,
        });
        let event = SessionEvent::parse(event.to_string().as_bytes()).unwrap();
        let mut text = Vec::new();
        event.write_json(&mut text);
        assert_eq!(text.len(), SessionEvent::LONGEST_JSON);
    }
}
