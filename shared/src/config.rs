//! Configuration: every setting is a flag, a variable and a key of a file, in that order of precedence, and has a default.
//!
//! The only place that reads the environment. A setting is declared once, in a table beside what it configures; a value
//! that cannot be used is noted with its source, and all mistakes are shown together.

use std::{collections::BTreeMap, fmt, fs, path::Path, str::FromStr, time::Duration};

use clap::{Arg, ArgMatches, parser::ValueSource};
use thiserror::Error;

/// The exit status of a process whose configuration is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

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
    let config = Setting {
        name: "config",
        value: "FILE",
        default: "",
        help: "A TOML file with settings, each under its flag's name; flags and variables go before it",
    };
    settings.iter().copied().chain([config]).map(|setting| {
        let help = match setting.default {
            "" => setting.help.to_owned(),
            default => format!("{} [default: {default}]", setting.help),
        };
        Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.value)
            .env(setting.variable())
            .hide_env_values(true)
            .help(help)
    })
}

impl Settings {
    /// What was given for `settings` by flag, variable and file. A file that cannot be read, and keys in it that are no
    /// settings, are the first mistakes.
    #[must_use]
    pub fn of(settings: &[Setting], matches: &ArgMatches) -> Self {
        let mut mistakes = Vec::new();
        let file = matches.get_one::<String>("config").map(|path| (path, read(Path::new(path))));
        let mut in_file = match file {
            Some((path, Ok(table))) => {
                table.into_iter().map(|(key, value)| (key, (path.clone(), value))).collect()
            }
            Some((path, Err(cause))) => {
                mistakes.push(format!("--config {path}: {cause}"));
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        };
        let mut given = BTreeMap::new();
        for setting in settings {
            let from_file = in_file.remove(setting.name);
            let by_hand = matches.get_one::<String>(setting.name).cloned();
            let value = match (by_hand, matches.value_source(setting.name), from_file) {
                (Some(value), Some(ValueSource::EnvVariable), _) => {
                    (value, Source::Variable(setting.variable()))
                }
                (Some(value), _, _) => (value, Source::Flag(setting.name)),
                (None, _, Some((path, value))) => (value, Source::File(path)),
                (None, _, None) => (setting.default.to_owned(), Source::Default(setting.name)),
            };
            given.insert(setting.name, value);
        }
        mistakes
            .extend(in_file.into_iter().map(|(key, (path, _))| format!("{path}: there is no setting {key}")));
        Self { given, mistakes }
    }

    /// The value of `name`; the type's default after a mistake, which is noted.
    pub fn get<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &'static str) -> T {
        self.get_or(name, T::default())
    }

    /// The value of `name`; `placeholder` after a mistake, which is noted.
    pub fn get_or<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str, placeholder: T) -> T {
        let Some((value, source)) = self.given.get(name) else { return placeholder };
        value.trim().parse().unwrap_or_else(|cause| {
            self.mistakes.push(format!("{source}: {value:?} cannot be used: {cause}"));
            placeholder
        })
    }

    /// The value of `name` when there is one.
    pub fn get_optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        let (value, source) = self.given.get(name).filter(|(value, _)| !value.trim().is_empty())?;
        match value.trim().parse() {
            Ok(parsed) => Some(parsed),
            Err(cause) => {
                self.mistakes.push(format!("{source}: {value:?} cannot be used: {cause}"));
                None
            }
        }
    }

    /// Notes a mistake that only shows when settings are seen together.
    pub fn mistake(&mut self, name: &'static str, cause: &str) {
        if let Some((value, source)) = self.given.get(name) {
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

fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    table
        .into_iter()
        .map(|(key, value)| match value {
            toml::Value::String(text) => Ok((key, text)),
            toml::Value::Integer(_)
            | toml::Value::Boolean(_)
            | toml::Value::Float(_)
            | toml::Value::Datetime(_) => Ok((key, value.to_string())),
            toml::Value::Array(_) | toml::Value::Table(_) => Err(format!("{key} is not a single value")),
        })
        .collect()
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
