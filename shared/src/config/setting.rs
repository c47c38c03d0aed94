//! The declaration of a setting: its names, default and help text.

use super::units::Words;

/// The setting that names the configuration file.
pub(super) const CONFIG: Setting = Setting::new(
    "config",
    "FILE",
    "",
    "TOML file with settings, each under its flag's name; flags and variables override it",
)
.common();

/// The beginning of every variable.
pub(super) const PREFIX: &str = "BOOKEND_";

/// Separates the values of a list, as [`Settings`](super::Settings) stores them.
pub(super) const LIST_SEPARATOR: &str = "\n";

/// One setting: the flag `--name`, the variable `BOOKEND_NAME`, and the key `name` of the file.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name, in lower case with hyphens.
    pub name: &'static str,
    /// A word for the value, for `--help`.
    pub value: &'static str,
    /// The default value; empty if the setting is off by default.
    pub default: &'static str,
    /// The help text: what the setting does.
    pub help: &'static str,
    /// The heading in `--help`; `None` for the settings of every process.
    pub heading: Option<&'static str>,
    /// The possible values; empty if there are too many to list.
    pub values: &'static [&'static str],
    /// Whether `-h` lists it, and not only `--help`.
    pub is_common: bool,
    pub(super) kind: Kind,
    /// Whether messages hide its value.
    pub(super) redacted: bool,
}

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Once, with a value.
    Value,
    /// Repeatedly; separated by commas in the variable, as an array in the file.
    List,
    /// By its name alone, which means `true`.
    Switch,
    /// By its variable, or by a file that the variable with the suffix `_FILE` names.
    Secret,
}

impl Setting {
    /// A setting with one value.
    #[must_use]
    pub const fn new(
        name: &'static str,
        value: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        let (heading, values, is_common) = (None, &[] as &[_], false);
        let (kind, redacted) = (Kind::Value, false);
        Self { name, value, default, help, heading, values, is_common, kind, redacted }
    }

    /// A setting that may be repeated: [`Settings::get_list`](super::Settings::get_list).
    #[must_use]
    pub const fn list(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::List, ..Self::new(name, value, "", help) }
    }

    /// A `bool` that is off by default.
    #[must_use]
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Switch, ..Self::new(name, "BOOL", "false", help) }
    }

    /// A secret: [`Settings::secret`](super::Settings::secret).
    #[must_use]
    pub const fn secret(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Secret, redacted: true, ..Self::new(name, "SECRET", "", help) }
    }

    /// Hides the value in messages, because it may contain a secret.
    #[must_use]
    pub const fn redacted(self) -> Self {
        Self { redacted: true, ..self }
    }

    /// Lists the values of `T` in `--help` and in completions. Reading the setting checks them, so
    /// that a wrong one is listed with all other mistakes.
    #[must_use]
    pub const fn one_of<T: Words>(self) -> Self {
        Self { values: T::WORDS, ..self }
    }

    /// Lists the setting in `-h` too: one of the few that most deployments set.
    #[must_use]
    pub const fn common(self) -> Self {
        Self { is_common: true, ..self }
    }

    /// Puts the setting under `heading` in `--help`.
    #[must_use]
    pub const fn under(self, heading: &'static str) -> Self {
        Self { heading: Some(heading), ..self }
    }

    /// The name of its variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('-', "_").to_ascii_uppercase())
    }

    /// Whether it is a secret, which has a variable but neither a flag nor a key of the file.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }
}
