//! The entries of a file of keys: a TOML document with a table `[[key]]` for each key.

use std::{fmt, num::NonZeroU32, ops::Range, str::FromStr};

use toml::de::{DeTable, DeValue};

use crate::{
    access::{
        key::{KeyHash, KeyId},
        origin::AllowedOrigin,
        right::{Right, Rights},
    },
    timestamp::Timestamp,
};

const FIELDS: [&str; 7] = ["id", "sha256", "rights", "quota", "origins", "expires", "users_prefix"];

/// The longest user id.
const MAX_PREFIX: usize = 128;

/// A key as the file describes it, without its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in metrics and logs.
    pub id: KeyId,
    /// Its rights.
    pub rights: Rights,
    /// The number of events that it may send in a second.
    pub quota: Option<NonZeroU32>,
    /// The origins of the web pages that may use it; all if it is empty.
    pub origins: Vec<AllowedOrigin>,
    /// When it ends: the first instant at which it is not valid.
    pub expires: Option<Timestamp>,
    /// The prefix of the ids of its users; `None` if it may use all users.
    pub users_prefix: Option<String>,
}

/// An entry of the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) hash: KeyHash,
}

impl Key {
    /// Whether it is not valid any more at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// The day at whose first instant it ends, as in the file.
    #[must_use]
    pub fn expires_on(&self) -> Option<String> {
        self.expires.map(|end| end.to_string().chars().take_while(|it| *it != 'T').collect())
    }
}

/// Returns the valid entries in `text`, and the mistakes in the others.
pub(super) fn read(text: &str) -> (Vec<Entry>, Vec<String>) {
    let line_of = |place: Range<usize>| text[..place.start].matches('\n').count() + 1;
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            // Its Display would show the line, which may be a key in the wrong place.
            let line = error.span().map_or(1, line_of);
            return (entries, vec![format!("line {line}: {}", error.message())]);
        }
    };
    for (name, value) in &document {
        let tables = match value.get_ref() {
            DeValue::Array(tables) if name.get_ref() == "key" => tables,
            _ => {
                let line = line_of(name.span());
                mistakes.push(format!("line {line}: expected nothing but entries [[key]]"));
                continue;
            }
        };
        for (index, table) in tables.iter().enumerate() {
            let name = format!("entry {} (line {})", index + 1, line_of(table.span()));
            match table.get_ref() {
                DeValue::Table(fields) => entries.extend(entry(name, fields, &mut mistakes)),
                _ => mistakes.push(format!("{name} is not a table; write [[key]]")),
            }
        }
    }
    (entries, mistakes)
}

/// Returns an entry, or `None` after a mistake. `place` names the entry if its id does not.
fn entry(place: String, fields: &DeTable<'_>, mistakes: &mut Vec<String>) -> Option<Entry> {
    let before = mistakes.len();
    let id = fields.get("id").and_then(|id| id.get_ref().as_str()?.parse::<KeyId>().ok());
    let name = id.as_ref().map_or(place, ToString::to_string);
    let mut fields = Fields { name, fields, mistakes };
    fields.known();
    let hash = fields.required("sha256", |value| parsed::<KeyHash>(text(value)?));
    let rights = fields.required("rights", |value| {
        let rights: Rights = list::<Right>(value)?.into_iter().collect();
        if rights == Rights::default() { Err("name at least one".to_owned()) } else { Ok(rights) }
    });
    let id = fields.required("id", |value| parsed(text(value)?));
    let quota = fields.optional("quota", quota);
    let origins = fields.optional("origins", origins);
    let expires = fields.optional("expires", day);
    let users_prefix = fields.optional("users_prefix", users_prefix);
    if users_prefix.is_some() && rights.is_some_and(|rights| rights.contains(Right::Operate)) {
        fields.mistake("users_prefix", "a key with `operate` sees the metrics of all users");
    }
    let (id, hash, rights) = (id?, hash?, rights?);
    let origins = origins.unwrap_or_default();
    let key = Key { id, rights, quota, origins, expires, users_prefix };
    (mistakes.len() == before).then_some(Entry { key, hash })
}

/// The fields of one entry.
struct Fields<'a> {
    name: String,
    fields: &'a DeTable<'a>,
    mistakes: &'a mut Vec<String>,
}

impl Fields<'_> {
    /// Records the fields that no entry has.
    fn known(&mut self) {
        let unknown = self.fields.keys().filter(|name| !FIELDS.contains(&name.get_ref().as_ref()));
        for name in unknown {
            let (name, expected) = (name.get_ref(), FIELDS.join(", "));
            self.mistakes.push(format!(
                "unknown field {name:?} of {}; expected one of {expected}",
                self.name
            ));
        }
    }

    fn required<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.fields.contains_key(field) {
            self.mistakes.push(format!("`{field}` of {} is missing", self.name));
        }
        self.optional(field, read)
    }

    fn optional<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        read(self.fields.get(field)?.get_ref()).map_err(|cause| self.mistake(field, &cause)).ok()
    }

    /// Records a mistake without the value, which may be a key in the wrong place.
    fn mistake(&mut self, field: &str, cause: &str) {
        let what = if field == "sha256" { "is not a SHA-256 hash" } else { "is not valid" };
        self.mistakes.push(format!("`{field}` of {} {what}: {cause}", self.name));
    }
}

fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| "expected a string".to_owned())
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn list<T: FromStr<Err: fmt::Display>>(value: &DeValue<'_>) -> Result<Vec<T>, String> {
    let values = value.as_array().ok_or("expected an array of strings")?;
    values.iter().map(|value| parsed(text(value.get_ref())?)).collect()
}

fn origins(value: &DeValue<'_>) -> Result<Vec<AllowedOrigin>, String> {
    let origins: Vec<_> = list(value)?;
    if origins.is_empty() {
        return Err("it is empty; remove it to allow all origins".to_owned());
    }
    Ok(origins)
}

fn quota(value: &DeValue<'_>) -> Result<NonZeroU32, String> {
    let number = value.as_integer();
    let number = number.and_then(|it| u32::from_str_radix(it.as_str(), it.radix()).ok());
    let number = number.and_then(NonZeroU32::new);
    number.ok_or_else(|| format!("expected a whole number from 1 to {}", u32::MAX))
}

/// The first instant of a day, in UTC.
fn day(value: &DeValue<'_>) -> Result<Timestamp, String> {
    let day = match value {
        DeValue::Datetime(day) => day.to_string(),
        other => text(other)?.to_owned(),
    };
    parse_day(&day)
}

/// Returns the first instant of a day such as `2027-06-01`, in UTC.
///
/// # Errors
/// What was expected instead.
pub fn parse_day(day: &str) -> Result<Timestamp, String> {
    // Longer texts are not times with this end.
    Timestamp::parse(&format!("{day}T00:00Z"))
        .ok_or_else(|| "expected a date, for example 2027-06-01".to_owned())
}

fn users_prefix(value: &DeValue<'_>) -> Result<String, String> {
    let prefix = text(value)?;
    if prefix.is_empty() {
        return Err("it is empty; remove it to allow all users".to_owned());
    }
    if prefix.len() > MAX_PREFIX || prefix.contains(char::is_control) {
        return Err(format!("expected at most {MAX_PREFIX} bytes without control characters"));
    }
    Ok(prefix.to_owned())
}
