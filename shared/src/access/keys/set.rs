//! A set of keys, valid as a whole.

use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;

use super::entry::{self, Entry, Key};
use crate::{
    access::{
        key::{self, KeyHash, KeyId},
        origin::AllowedOrigin,
        right::Right,
    },
    timestamp::Timestamp,
};

/// The text of [`AllowedOrigin::Any`].
const ANY: &str = "*";

/// The keys of one file.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: IndexMap<KeyId, (Arc<Key>, KeyHash)>,
    /// The origins of all keys, as texts.
    origins: HashSet<String>,
}

/// Why a text is not a key in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It does not have the form of a key: it was mistyped, cut or is something else.
    Malformed,
    /// It has the form of a key and is not in the file.
    Unknown,
    /// It is in the file, and its last day is over.
    Expired,
}

impl KeySet {
    /// Reads the text of a file of keys.
    ///
    /// # Errors
    /// Every mistake, as a sentence that names its entry.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::parse_beside(text, &[])
    }

    /// The same beside `origins` that are allowed with every key.
    pub(super) fn parse_beside(text: &str, origins: &[AllowedOrigin]) -> Result<Self, Vec<String>> {
        let (entries, mut mistakes) = entry::read(text);
        mistakes.extend(mistakes_between(&entries, origins));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let origins = entries.iter().flat_map(|entry| &entry.key.origins);
        let origins = origins.map(AllowedOrigin::to_string).collect();
        let keys =
            entries.into_iter().map(|Entry { key, hash }| (key.id.clone(), (Arc::new(key), hash)));
        Ok(Self { keys: keys.collect(), origins })
    }

    /// Returns the key that `given` is at `now`, by the machine's clock.
    pub fn find(&self, given: &[u8], now: Timestamp) -> Result<&Arc<Key>, Unfit> {
        let id = key::id_of(given).ok_or(Unfit::Malformed)?;
        let (key, hash) = self.keys.get(id).ok_or(Unfit::Unknown)?;
        if !hash.is_of(given) {
            return Err(Unfit::Unknown);
        }
        if key.has_expired(now) { Err(Unfit::Expired) } else { Ok(key) }
    }

    /// Returns the keys in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values().map(|(key, _)| key)
    }

    /// Whether a page with the `Origin` header `given` may use one of the keys.
    #[must_use]
    pub fn allows_origin(&self, given: &str) -> bool {
        self.origins.contains(given) || self.origins.contains(ANY)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Returns the mistakes that only show when entries are compared.
fn mistakes_between(entries: &[Entry], allowed: &[AllowedOrigin]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let star = entries.iter().find(|entry| entry.key.origins.contains(&AllowedOrigin::Any));
    let star = match star {
        _ if allowed.contains(&AllowedOrigin::Any) => Some("--cors-origin".to_owned()),
        star => star.map(|star| format!("`origins` of {}", star.key.id)),
    };
    for (at, Entry { key, .. }) in entries.iter().enumerate() {
        let id = &key.id;
        if entries[..at].iter().any(|other| other.key.id == *id) {
            mistakes.push(format!("duplicate id {id}"));
        }
        if let Some(star) = &star
            && !key.rights.only(Right::Ingest)
        {
            mistakes.push(format!(
                "{star} allows `*`, but {id} has another right than ingest; list the origins"
            ));
        }
        let Some(prefix) = &key.users_prefix else { continue };
        for Entry { key: other, .. } in &entries[..at] {
            // Several keys may have the users of one tenant.
            if let Some(others) = &other.users_prefix
                && others != prefix
                && (others.starts_with(prefix) || prefix.starts_with(others))
            {
                mistakes.push(format!(
                    "`users_prefix` of {id} and {} overlap: one begins with the other",
                    other.id
                ));
            }
        }
    }
    mistakes
}
