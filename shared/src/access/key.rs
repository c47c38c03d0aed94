//! The text of a key: `bk_<id>_<32 letters of its secret>_<6 letters of its checksum>`.
//!
//! The prefix lets scanners for leaked secrets find a key. The checksum tells a mistyped key from
//! one that was revoked. Only the SHA-256 hash of a key is ever stored.

use std::{fmt, io, str::FromStr};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};

use crate::config::Secret;

const PREFIX: &str = "bk";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The letters of a secret: over 190 bits.
const SECRET_LETTERS: usize = 32;
const CHECKSUM_LETTERS: usize = 6;
const MAX_ID: usize = 32;
/// The most bytes of a key that are looked at.
const MAX_KEY: usize = 96;

/// The public name of a key: 1 to 32 of `a`–`z`, `0`–`9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// A text that is not the id of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_ID} of a-z, 0-9 and -, and not `none`")]
pub struct NotAKeyId;

/// The SHA-256 hash of a whole key.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash([u8; 32]);

/// A text that is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct NotAHash;

/// Returns a new key with this id.
///
/// # Errors
/// The operating system has no random bytes.
pub fn generate(id: &KeyId) -> io::Result<Secret> {
    let mut key = format!("{PREFIX}_{id}_");
    let full = key.len() + SECRET_LETTERS;
    while key.len() < full {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        // Without the last 8 of 256 values, each letter is equally likely.
        let even = bytes.into_iter().filter(|byte| *byte < 248);
        let letters = even.map(|byte| char::from(BASE62[usize::from(byte % 62)]));
        key.extend(letters.take(full - key.len()));
    }
    let checksum = checksum(key.as_bytes());
    key.push('_');
    key.extend(checksum.map(char::from));
    Ok(Secret::new(key))
}

/// Returns the id in `given`; `None` if it is not a key, for example one that was mistyped.
pub(super) fn id_of(given: &[u8]) -> Option<&str> {
    if given.len() > MAX_KEY {
        return None;
    }
    let given = str::from_utf8(given).ok()?;
    let (checked, sum) = given.rsplit_once('_')?;
    let mut parts = checked.split('_');
    let (Some(PREFIX), Some(id), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let is_key = is_id(id)
        && secret.len() == SECRET_LETTERS
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && sum.as_bytes() == checksum(checked.as_bytes());
    is_key.then_some(id)
}

/// The CRC-32 of `text` in base 62, padded with zeros.
fn checksum(text: &[u8]) -> [u8; CHECKSUM_LETTERS] {
    let mut rest = crc32fast::hash(text) as usize;
    let mut letters = [b'0'; CHECKSUM_LETTERS];
    for letter in letters.iter_mut().rev() {
        *letter = BASE62[rest % 62];
        rest /= 62;
    }
    letters
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl KeyId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        // In metrics, `none` is the key of a request without one.
        if is_id(text) && text != "none" { Ok(Self(text.to_owned())) } else { Err(NotAKeyId) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// So that a set of keys is searched by the id in a request without a copy.
impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl KeyHash {
    /// The hash of `key`.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        Self(hash)
    }

    /// Whether it is the hash of `key`. The time that this takes does not depend on where the two
    /// differ.
    #[must_use]
    pub fn is_of(&self, key: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, digest(&SHA256, key).as_ref()).is_ok()
    }
}

/// In hexadecimal digits.
impl FromStr for KeyHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(NotAHash);
        }
        for (byte, two) in hash.iter_mut().zip(digits.chunks(2)) {
            let [Some(high), Some(low)] = *two else { return Err(NotAHash) };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another implementation of CRC-32 and SHA-256.
    const KEY: &str = "bk_web-client_0123456789ABCDEFGHIJabcdefghij01_2fRjgG";
    const HASH: &str = "b9cf14d528e97452a4c1922def0d39459dba24eed7fa5fef3101093dc343b3be";

    #[test]
    fn a_key_of_another_implementation_is_understood() {
        assert_eq!(id_of(KEY.as_bytes()), Some("web-client"));
        assert_eq!(KeyHash::of(KEY.as_bytes()).to_string(), HASH);
        let hash: KeyHash = HASH.to_uppercase().parse().unwrap();
        assert!(hash.is_of(KEY.as_bytes()) && !hash.is_of(KEY.to_lowercase().as_bytes()));
    }

    #[test]
    fn the_checksum_is_padded_with_zeros() {
        assert_eq!(id_of(b"bk_a_00000000000000000000000000000352_00LT4Q"), Some("a"));
    }

    #[test]
    fn a_new_key_has_its_form_and_is_new() {
        let longest = "0123456789-abcdefghijklmnopqrstu";
        for id in ["a", "web-client", longest] {
            let id: KeyId = id.parse().unwrap();
            let [one, other] = [(); 2].map(|()| generate(&id).unwrap());
            assert_eq!(id_of(one.reveal().as_bytes()), Some(id.as_str()));
            assert_ne!(one.reveal(), other.reveal());
            assert_eq!(format!("{one:?}"), "[redacted]");
        }
    }

    #[test]
    fn each_mistyped_letter_is_noticed() {
        for at in 0..KEY.len() {
            for letter in ["x", "0", "_", "-", "ä", ""] {
                if KEY[at..].starts_with(letter) && !letter.is_empty() {
                    continue;
                }
                let mistyped = format!("{}{letter}{}", &KEY[..at], &KEY[at + 1..]);
                assert_eq!(id_of(mistyped.as_bytes()), None, "{mistyped}");
            }
        }
        for swapped in 0..KEY.len() - 1 {
            let mut key = KEY.as_bytes().to_vec();
            key.swap(swapped, swapped + 1);
            assert!(key == KEY.as_bytes() || id_of(&key).is_none(), "{swapped}");
        }
    }

    #[test]
    fn what_is_not_a_key_has_no_id() {
        for given in ["", "_", "bk", "bk_a", "bk___", "bk_a__", "hunter2", " ", "\u{0}"] {
            assert_eq!(id_of(given.as_bytes()), None, "{given}");
        }
        assert_eq!(id_of(&[0xff; 75]), None);
        assert_eq!(id_of(format!(" {KEY}").as_bytes()), None);
        assert_eq!(id_of(format!("{KEY}\n").as_bytes()), None);
        // With a right checksum, but another prefix, id or secret.
        for checked in [
            "BK_web-client_0123456789ABCDEFGHIJabcdefghij01".to_owned(),
            "bk_Web_0123456789ABCDEFGHIJabcdefghij01".to_owned(),
            "bk__0123456789ABCDEFGHIJabcdefghij01".to_owned(),
            "bk_web_0123456789ABCDEFGHIJabcdefghij0".to_owned(),
            "bk_web_0123456789ABCDEFGHIJabcdefghij0-".to_owned(),
            "bk_web_more_0123456789ABCDEFGHIJabcdefghij01".to_owned(),
            format!("bk_{}_0123456789ABCDEFGHIJabcdefghij01", "a".repeat(MAX_ID + 1)),
        ] {
            let sum = checksum(checked.as_bytes()).map(char::from);
            let key = format!("{checked}_{}", sum.iter().collect::<String>());
            assert_eq!(id_of(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn an_id_is_short_and_plain() {
        for wrong in ["", "Web", "web_client", "web client", "wéb", &"a".repeat(33)] {
            assert_eq!(wrong.parse::<KeyId>(), Err(NotAKeyId), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_hash_is_a_mistake() {
        let long = format!("{HASH}0");
        for wrong in ["", KEY, &HASH[1..], &long, &HASH.replace('a', "g"), &"ä".repeat(32)] {
            assert!(wrong.parse::<KeyHash>().is_err(), "{wrong}");
        }
    }
}
