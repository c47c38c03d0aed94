//! Changes to the text of a file of keys, which leave all other entries and comments as they are.

use std::fmt::Write;

use toml::de::{DeTable, DeValue};

use super::{
    key::{KeyHash, KeyId},
    keys::{Key, KeySet},
};

/// The first line of a new file.
const HEADER: &str = "# Keys of Bookend. It holds their hashes only; `bookend key` makes and \
                      revokes keys.\n";

/// Why a text was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text, or what it would become, has mistakes.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
    /// The id of a new key is taken.
    #[error("there is a key {0} already; choose another id, or revoke it first")]
    Exists(KeyId),
    /// There is no such key.
    #[error("there is no key {0}")]
    Missing(KeyId),
    /// The entry is not written as a table `[[key]]` on lines of its own.
    #[error("the entry of {0} cannot be cut out of the file; remove it with an editor")]
    Unusual(KeyId),
}

/// Returns `text` with an entry for `key` at its end.
///
/// # Errors
/// The text has mistakes, or it would have some with this entry.
pub fn with_entry(text: &str, key: &Key, hash: &KeyHash) -> Result<String, EditError> {
    if parse(text)?.iter().any(|other| other.id == key.id) {
        return Err(EditError::Exists(key.id.clone()));
    }
    let mut changed = if text.is_empty() { HEADER.to_owned() } else { text.to_owned() };
    if !changed.ends_with('\n') {
        changed.push('\n');
    }
    changed.push('\n');
    changed.push_str(&entry(key, hash));
    parse(&changed)?;
    Ok(changed)
}

/// Returns `text` without the entry of `id`, and without one blank line before it.
///
/// # Errors
/// The text has mistakes or no such entry, or the entry cannot be cut out.
pub fn without_entry(text: &str, id: &KeyId) -> Result<String, EditError> {
    let before = parse(text)?;
    if before.iter().all(|key| key.id != *id) {
        return Err(EditError::Missing(id.clone()));
    }
    let unusual = || EditError::Unusual(id.clone());
    let (begin, end) = lines_of(text, id).ok_or_else(unusual)?;
    let changed = format!("{}{}", &text[..begin], &text[end..]);
    let after = KeySet::parse(&changed).map_err(|_mistakes| unusual())?;
    let others = before.iter().filter(|key| key.id != *id);
    if after.iter().eq(others) { Ok(changed) } else { Err(unusual()) }
}

fn parse(text: &str) -> Result<KeySet, EditError> {
    KeySet::parse(text).map_err(EditError::Mistakes)
}

/// Returns where the lines of an entry begin and end.
fn lines_of(text: &str, id: &KeyId) -> Option<(usize, usize)> {
    let document = DeTable::parse(text).ok()?.into_inner();
    let entries = document.get("key")?.get_ref().as_array()?;
    let (header, fields) = entries.iter().find_map(|entry| match entry.get_ref() {
        DeValue::Table(fields) if fields.get("id")?.get_ref().as_str() == Some(id.as_str()) => {
            Some((entry.span(), fields))
        }
        _ => None,
    })?;
    let last = fields.values().map(|value| value.span().end).fold(header.end, usize::max);
    let end = text[last..].find('\n').map_or(text.len(), |newline| last + newline + 1);
    let mut begin = text[..header.start].rfind('\n').map_or(0, |newline| newline + 1);
    for blank in ["\n\r\n", "\n\n"] {
        if text[..begin].ends_with(blank) {
            begin -= blank.len() - 1;
            break;
        }
    }
    Some((begin, end))
}

/// The entry of `key` in TOML. Its hash comes last: an entry of which only the begin was written is
/// a mistake, not a key with fewer restrictions.
fn entry(key: &Key, hash: &KeyHash) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let list =
        |values: Vec<String>| values.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(", ");
    let rights = list(key.rights.iter().map(|right| right.to_string()).collect());
    let mut entry = format!("[[key]]\nid = \"{}\"\nrights = [{rights}]\n", key.id);
    // Writing to a string cannot fail.
    let mut line = |field: &str, value: String| writeln!(entry, "{field} = {value}").ok();
    if let Some(quota) = key.quota {
        line("quota", quota.to_string());
    }
    if !key.origins.is_empty() {
        let origins = list(key.origins.iter().map(ToString::to_string).collect());
        line("origins", format!("[{origins}]"));
    }
    if let Some(day) = key.expires_on() {
        line("expires", day);
    }
    if let Some(prefix) = &key.users_prefix {
        line("users_prefix", quoted(prefix));
    }
    line("sha256", format!("\"{hash}\""));
    entry
}

#[cfg(test)]
mod tests;
