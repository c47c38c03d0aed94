//! Reads a key of a JSON object by its bytes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

/// The seed that maps a key with a function. It reads bytes, so that a key with half a surrogate
/// pair is an unknown key and not an error.
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
