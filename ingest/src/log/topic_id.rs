//! The identity of the topic that records and offsets belong to.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The identity of a topic. A topic that was deleted and created again has the same name and
/// another id. Its text is that of Kafka's own tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(u128);

impl TopicId {
    /// No id: of the embedded log, and of brokers before Kafka 2.8.
    pub const UNKNOWN: Self = Self(0);

    /// The id with this number.
    #[must_use]
    pub const fn new(id: u128) -> Self {
        Self(id)
    }

    /// The id, unless it is [`TopicId::UNKNOWN`].
    #[must_use]
    pub fn known(self) -> Option<Self> {
        (self != Self::UNKNOWN).then_some(self)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl FromStr for TopicId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(|bytes| Self(u128::from_be_bytes(bytes)))
            .ok_or("a topic id is 22 letters of base64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_the_one_of_kafka_s_tools() {
        let id = TopicId::new(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(id.to_string(), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "AAAA", "ASNFZ4mrze/-3LqYdlQyEA", "ASNFZ4mrze_-3LqYdlQyEA=="] {
            assert!(text.parse::<TopicId>().is_err(), "{text}");
        }
    }
}
