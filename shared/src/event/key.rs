//! A key of a JSON object, told from others by its bytes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

/// Which key it is, says the function. It is read as bytes: one that holds half a surrogate pair is then no error but an unknown
/// key.
pub(super) struct KeySeed<F>(pub(super) F);

impl<'de, K, F: FnOnce(&[u8]) -> K> DeserializeSeed<'de> for KeySeed<F> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<K, F: FnOnce(&[u8]) -> K> Visitor<'_> for KeySeed<F> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<K, E> {
        Ok((self.0)(key))
    }
}
