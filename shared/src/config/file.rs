//! The configuration file: a flat TOML table of settings.

use std::{fs, path::Path};

use super::setting::{Kind, LIST_SEPARATOR};

pub(super) fn read(path: &Path) -> Result<toml::Table, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| error.to_string())
}

/// Returns the value of a key as text.
pub(super) fn text(kind: Kind, value: toml::Value) -> Result<String, &'static str> {
    match (kind, value) {
        (Kind::Secret, _) => {
            Err("a secret cannot be in a file of settings; set its variable instead")
        }
        (Kind::List, toml::Value::Array(values)) => {
            let values: Vec<_> = values.into_iter().map(single).collect::<Result<_, _>>()?;
            Ok(values.join(LIST_SEPARATOR))
        }
        (_, value) => single(value),
    }
}

fn single(value: toml::Value) -> Result<String, &'static str> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(_)
        | toml::Value::Boolean(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_) => Ok(value.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => Err("expected a single value"),
    }
}
