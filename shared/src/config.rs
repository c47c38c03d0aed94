//! Configuration: every setting is a flag, a variable and a key of a file, in that order of precedence, and has a default.
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
    time::Duration,
};

use clap::{Arg, ArgMatches};
use thiserror::Error;

/// The exit status of a process whose configuration is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// The setting that names the file.
const CONFIG: Setting = Setting {
    name: "config",
    value: "FILE",
    default: "",
    help: "A TOML file with settings, each under its flag's name; flags and variables go before it",
};

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
}

/// The settings that were given, and the mistakes found among them so far.
#[derive(Debug)]
pub struct Settings {
    given: BTreeMap<&'static str, (String, Source)>,
    mistakes: Vec<String>,
    /// The settings that have a mistake. What is checked later met a placeholder in place of its value.
    mistaken: BTreeSet<&'static str>,
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

/// A number of bytes: `64KiB`, `2 MiB`, `1GiB`, or bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A span of time: `200ms`, `15s`, `5m`, `12h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Setting {
    fn variable(&self) -> String {
        format!("BOOKEND_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// The flags of `settings`, and `--config`.
pub fn args(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    settings.iter().copied().chain([CONFIG]).map(|setting| {
        let mut help = format!("{} [env: {}]", setting.help, setting.variable());
        if !setting.default.is_empty() {
            help = format!("{help} [default: {}]", setting.default);
        }
        Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help)
    })
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
            if let Some(value) = matches.get_one::<String>(setting.name) {
                return Some((value.clone(), Source::Flag(setting.name)));
            }
            let variable = setting.variable();
            match look_up(&variable).filter(|value| !value.is_empty())?.into_string() {
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
            Some((path, source)) => read(Path::new(path)).unwrap_or_else(|cause| {
                mistakes.push(format!("{source}: {path:?} cannot be used: {cause}"));
                toml::Table::new()
            }),
            None => toml::Table::new(),
        };
        let path = file.map_or_else(String::new, |(path, _)| path);
        let mut given = BTreeMap::new();
        for (setting, by_hand) in settings.iter().zip(by_hand) {
            let from_file = in_file.remove(setting.name).and_then(|value| {
                let single = single(value);
                if single.is_none() {
                    mistakes.push(format!("{path}: {} is not a single value", setting.name));
                }
                Some((single?, Source::File(path.clone())))
            });
            let default = || (setting.default.to_owned(), Source::Default(setting.name));
            given.insert(setting.name, by_hand.or(from_file).unwrap_or_else(default));
        }
        mistakes.extend(in_file.keys().map(|key| format!("{path}: there is no setting {key}")));
        Self { given, mistakes, mistaken: BTreeSet::new() }
    }

    /// The value of `name`; the type's default after a mistake, which is noted.
    pub fn get<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &'static str) -> T {
        self.get_or(name, T::default())
    }

    /// The value of `name`; `placeholder` after a mistake, which is noted.
    pub fn get_or<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str, placeholder: T) -> T {
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

    /// Notes a mistake that only shows when settings are seen together; unless the value of `name` could not be read at all.
    pub fn mistake(&mut self, name: &'static str, cause: &str) {
        if let Some((value, source)) = self.given.get(name)
            && self.mistaken.insert(name)
        {
            self.mistakes.push(format!("{source}: {value:?} cannot be used: {cause}"));
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

fn read(path: &Path) -> Result<toml::Table, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| error.to_string())
}

fn single(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(_)
        | toml::Value::Boolean(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_) => Some(value.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
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

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a number of bytes, or of KiB, MiB or GiB, as in 64MiB";
        let (number, unit) = split_unit(text);
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" | "k" => 1 << 10,
            "mib" | "m" => 1 << 20,
            "gib" | "g" => 1 << 30,
            _ => return Err(WRONG),
        };
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        number.checked_mul(unit).map(Self).ok_or(WRONG)
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a number and ms, s, m, h or d, as in 15s";
        let (number, unit) = split_unit(text);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(WRONG),
        };
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        number.checked_mul(unit).map(|millis| Self(Duration::from_millis(millis))).ok_or(WRONG)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

impl Span {
    /// The span in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
