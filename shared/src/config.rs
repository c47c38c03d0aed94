//! Configuration: every setting is a flag, a variable and a key of a file, in that order of precedence, and has a default.
//! A secret is a variable alone, or a file that a variable names: other users of a machine can read the flags of a process,
//! and configuration files are passed around.
//!
//! The only place that reads the environment. A setting is declared once, in a table beside what it configures; a value
//! that cannot be used is noted with its source, and all mistakes are shown together. A variable `BOOKEND_…` that is no
//! setting is no mistake: several programs share one environment, and Kubernetes puts the address of a service named
//! `bookend` there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, fs,
    path::Path,
    str::FromStr,
};

use clap::ArgMatches;
use thiserror::Error;

pub use self::{
    flags::{args, secrets_help},
    units::{Bytes, Secret, Span},
};

mod file;
mod flags;
mod units;

/// The exit status of a process whose configuration is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// The setting that names the file.
const CONFIG: Setting = Setting::new(
    "config",
    "FILE",
    "",
    "A TOML file with settings, each under its flag's name; flags and variables go before it",
);
/// Between the values of a list as they are kept here.
const NEXT: &str = "\n";

/// One setting: `--name`, `BOOKEND_NAME`, and `name` in the file.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// In lower case with hyphens.
    pub name: &'static str,
    /// What a value looks like, for `--help`.
    pub value: &'static str,
    /// The value when none is given; empty when the setting is then off.
    pub default: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
    /// What it belongs to, for `--help`, where that is one backend or one service.
    heading: Option<&'static str>,
    kind: Kind,
    /// Whether no mistake shows its value.
    redacted: bool,
}

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Once, with its value.
    Value,
    /// Any number of times; in a variable with commas, in the file as an array.
    List,
    /// By its name alone: `true`.
    Switch,
    /// By its variable, or by a file that the variable with `_FILE` behind it names.
    Secret,
}

/// The settings that were given, and the mistakes found among them so far.
#[derive(Debug)]
pub struct Settings {
    given: BTreeMap<&'static str, (String, Source)>,
    mistakes: Vec<String>,
    /// The settings that have a mistake. What is checked later met a placeholder in place of its value.
    mistaken: BTreeSet<&'static str>,
    redacted: BTreeSet<&'static str>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

#[derive(Clone, Debug)]
enum Source {
    Flag(&'static str),
    Variable(String),
    File(String),
    Default(&'static str),
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
        Self { name, value, default, help, heading: None, kind: Kind::Value, redacted: false }
    }

    /// A setting that may be given any number of times: [`Settings::get_list`].
    #[must_use]
    pub const fn list(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::List, ..Self::new(name, value, "", help) }
    }

    /// A setting that is on when it is named: a `bool`.
    #[must_use]
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Switch, ..Self::new(name, "BOOL", "false", help) }
    }

    /// A setting that must not be told: [`Settings::secret`].
    #[must_use]
    pub const fn secret(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Secret, redacted: true, ..Self::new(name, "SECRET", "", help) }
    }

    /// The same setting with a value that no mistake shows, for there may be a secret in it.
    #[must_use]
    pub const fn redacted(self) -> Self {
        Self { redacted: true, ..self }
    }

    /// The same setting under `heading` in `--help`.
    #[must_use]
    pub const fn under(self, heading: &'static str) -> Self {
        Self { heading: Some(heading), ..self }
    }

    fn variable(&self) -> String {
        format!("BOOKEND_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

impl Settings {
    /// What was given for `settings` by flag, variable and file. A file that cannot be read, and keys in it that are no
    /// settings, are the first mistakes.
    #[must_use]
    pub fn of(settings: &[Setting], matches: &ArgMatches) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        Self::looked_up(settings, matches, |variable| std::env::var_os(variable))
    }

    /// The same, with another way to look up a variable than the environment of this process. One that is empty counts as
    /// not given.
    pub fn looked_up(
        settings: &[Setting],
        matches: &ArgMatches,
        look_up: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let mut mistakes = Vec::new();
        let mut by_hand = |setting: &Setting| {
            if setting.kind != Kind::Secret
                && let Some(values) = matches.get_many::<String>(setting.name)
            {
                let values: Vec<_> = values.map(String::as_str).collect();
                return Some((values.join(NEXT), Source::Flag(setting.name)));
            }
            let variable = setting.variable();
            let given = look_up(&variable).filter(|value| !value.is_empty());
            let (variable, given) = match given {
                Some(given) => (variable, given),
                None if setting.kind == Kind::Secret => {
                    let variable = variable + "_FILE";
                    let path = look_up(&variable).filter(|path| !path.is_empty())?;
                    match fs::read_to_string(&path) {
                        Ok(secret) => (variable, secret.trim_end_matches(['\r', '\n']).into()),
                        Err(cause) => {
                            mistakes.push(format!(
                                "{variable}: {} cannot be read: {cause}",
                                path.display()
                            ));
                            return None;
                        }
                    }
                }
                None => return None,
            };
            match given.into_string() {
                Ok(value) if setting.kind == Kind::List => {
                    Some((value.replace(',', NEXT), Source::Variable(variable)))
                }
                Ok(value) => Some((value, Source::Variable(variable))),
                Err(_) => {
                    mistakes.push(format!("{variable}: it is not UTF-8"));
                    None
                }
            }
        };
        let file = by_hand(&CONFIG);
        let by_hand: Vec<_> = settings.iter().map(by_hand).collect();
        let mut in_file = match &file {
            Some((path, source)) => file::read(Path::new(path)).unwrap_or_else(|cause| {
                mistakes.push(format!("{source}: {path:?} cannot be used: {cause}"));
                toml::Table::new()
            }),
            None => toml::Table::new(),
        };
        let path = file.map_or_else(String::new, |(path, _)| path);
        let mut given = BTreeMap::new();
        for (setting, by_hand) in settings.iter().zip(by_hand) {
            let from_file = in_file.remove(setting.name).and_then(|value| {
                match file::text(setting.kind, value) {
                    Ok(value) => Some((value, Source::File(path.clone()))),
                    Err(cause) => {
                        mistakes.push(format!("{path}: {} {cause}", setting.name));
                        None
                    }
                }
            });
            let default = || (setting.default.to_owned(), Source::Default(setting.name));
            given.insert(setting.name, by_hand.or(from_file).unwrap_or_else(default));
        }
        mistakes.extend(in_file.keys().map(|key| format!("{path}: there is no setting {key}")));
        let redacted = settings.iter().filter(|setting| setting.redacted);
        let redacted = redacted.map(|setting| setting.name).collect();
        Self { given, mistakes, mistaken: BTreeSet::new(), redacted }
    }

    /// The value of `name`; the type's default after a mistake, which is noted.
    pub fn get<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &'static str) -> T {
        self.get_or(name, T::default())
    }

    /// The value of `name`; `placeholder` after a mistake, which is noted.
    pub fn get_or<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        placeholder: T,
    ) -> T {
        let parsed = self.given.get(name).map(|(value, _)| value.trim().parse());
        match parsed {
            Some(Ok(parsed)) => parsed,
            Some(Err(cause)) => {
                self.mistake(name, &cause.to_string());
                placeholder
            }
            None => placeholder,
        }
    }

    /// The value of `name` when there is one.
    pub fn get_optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        let (value, _) = self.given.get(name).filter(|(value, _)| !value.trim().is_empty())?;
        value.trim().parse().map_err(|cause: T::Err| self.mistake(name, &cause.to_string())).ok()
    }

    /// The secret `name`, to the letter, when there is one.
    #[must_use]
    pub fn secret(&self, name: &'static str) -> Option<Secret> {
        let (value, _) = self.given.get(name).filter(|(value, _)| !value.is_empty())?;
        Some(Secret::new(value.as_str()))
    }

    /// The values of a list; those that cannot be read are noted and left out.
    pub fn get_list<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Vec<T> {
        let values = self.given.get(name).map_or("", |(values, _)| values).to_owned();
        let values = values.split(NEXT).map(str::trim).filter(|value| !value.is_empty());
        values
            .filter_map(|value| {
                value.parse().map_err(|cause: T::Err| self.mistake(name, &cause.to_string())).ok()
            })
            .collect()
    }

    /// Notes a mistake that only shows when settings are seen together; unless the value of `name` could not be read at all.
    pub fn mistake(&mut self, name: &'static str, cause: &str) {
        if let Some((value, source)) = self.given.get(name)
            && self.mistaken.insert(name)
        {
            let shown =
                if self.redacted.contains(name) { "[redacted]" } else { &format!("{value:?}") };
            self.mistakes.push(format!("{source}: {shown} cannot be used: {cause}"));
        }
    }

    /// `config`, unless there were mistakes.
    ///
    /// # Errors
    /// All [`Mistakes`].
    pub fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(self.mistakes)) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => f.write_str(path),
            Self::Default(name) => write!(f, "the default of --{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
