//! The list of keys: a table, or JSON. It has no hashes.

use std::fmt;

use serde::Serialize;
use shared::{
    access::{AllowedOrigin, Key, KeySet},
    timestamp::Timestamp,
};

/// What `bookend key list` prints.
#[derive(Debug, Serialize)]
pub(super) struct KeyList {
    keys: Vec<ListedKey>,
}

#[derive(Debug, Serialize)]
struct ListedKey {
    id: String,
    rights: Vec<&'static str>,
    quota: Option<u32>,
    origins: Vec<AllowedOrigin>,
    expires: Option<String>,
    expired: bool,
    users_prefix: Option<String>,
}

const TITLES: [&str; 6] = ["ID", "RIGHTS", "QUOTA", "EXPIRES", "USERS", "ORIGINS"];

impl KeyList {
    /// The keys in the order of the file, as they are at `now`.
    pub(super) fn new(keys: &KeySet, now: Timestamp) -> Self {
        Self { keys: keys.iter().map(|key| ListedKey::new(key, now)).collect() }
    }
}

impl ListedKey {
    fn new(key: &Key, now: Timestamp) -> Self {
        Self {
            id: key.id.to_string(),
            rights: key.rights.iter().map(|right| right.as_str()).collect(),
            quota: key.quota.map(u32::from),
            origins: key.origins.clone(),
            expires: key.expires_on(),
            expired: key.has_expired(now),
            users_prefix: key.users_prefix.clone(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let origins: Vec<_> = self.origins.iter().map(ToString::to_string).collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let over = if self.expired { " (over)" } else { "" };
        [
            self.id.clone(),
            self.rights.join(","),
            or_dash(self.quota.map_or_else(String::new, |quota| quota.to_string())),
            or_dash(self.expires.as_ref().map_or_else(String::new, |day| format!("{day}{over}"))),
            or_dash(
                self.users_prefix.as_ref().map_or_else(String::new, |prefix| format!("{prefix}*")),
            ),
            or_dash(origins.join(",")),
        ]
    }
}

impl fmt::Display for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.is_empty() {
            return f.write_str("no keys");
        }
        let rows = self.keys.iter().map(ListedKey::cells);
        let rows: Vec<_> = [TITLES.map(str::to_owned)].into_iter().chain(rows).collect();
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..TITLES.len()).map(width).collect();
        for row in &rows {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
