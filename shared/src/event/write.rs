//! Writes an event as it is stored in the log.

use super::SessionEvent;

impl SessionEvent {
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
