//! Configuration: each setting is a flag, a variable or a key of a file, in this order of
//! precedence, and has a default. A secret is only a variable, or a file that a variable names:
//! other users of a machine can read the flags of a process, and configuration files are shared.
//!
//! Only this module reads the environment. A setting is declared once, in a table beside the code
//! that it configures. Every mistake is recorded with its source, and all are reported together.
//! An unknown variable `BOOKEND_…` is not a mistake, because programs share one environment, and
//! Kubernetes sets such variables for a service named `bookend`; one that is nearly the name of a
//! setting is worth a warning.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fmt, fs,
    path::Path,
    str::FromStr,
    time::Duration,
};

use clap::ArgMatches;
use thiserror::Error;

pub use self::{
    address::ListenAddress,
    flags::{args, secrets_help},
    near::unknown_word,
    setting::Setting,
    units::{Bytes, DurationValue, Secret, Words},
};
use self::{
    setting::{CONFIG, Kind, LIST_SEPARATOR},
    unknown::{mistyped, unknown_key},
};

mod address;
mod file;
mod flags;
mod near;
mod setting;
mod shown;
mod units;
mod unknown;

/// The exit status of a process whose configuration is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// The values of settings, and the mistakes found so far.
#[derive(Debug)]
pub struct Settings {
    given: BTreeMap<&'static str, (String, Source)>,
    mistakes: Vec<String>,
    /// Settings with a mistake. Later checks see a placeholder in place of their values.
    mistaken: BTreeSet<&'static str>,
    redacted: BTreeSet<&'static str>,
    warnings: Vec<String>,
}

/// Every mistake in a configuration.
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

impl Settings {
    /// Reads `settings` from flags, variables and the file. A file that cannot be read and unknown
    /// keys in it are mistakes.
    #[must_use]
    pub fn of(settings: &[Setting], matches: &ArgMatches) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let variables: BTreeMap<_, _> = std::env::vars_os().collect();
        let variable = |name: &str| variables.get(OsStr::new(name)).cloned();
        let mut given = Self::with_variables(settings, matches, variable);
        let names = variables.keys().filter_map(|name| name.to_str());
        given.warnings = mistyped(settings, names).collect();
        given
    }

    /// The same with another source of variables than the environment of the process. An empty
    /// variable counts as not set.
    pub fn with_variables(
        settings: &[Setting],
        matches: &ArgMatches,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut mistakes = Vec::new();
        let mut flag_or_variable = |setting: &Setting| {
            from_flag(setting, matches).or_else(|| {
                from_variable(setting, variable).unwrap_or_else(|mistake| {
                    mistakes.push(mistake);
                    None
                })
            })
        };
        let file = flag_or_variable(&CONFIG);
        let given: Vec<_> = settings.iter().map(flag_or_variable).collect();
        let mut in_file = match &file {
            Some((path, source)) => file::read(Path::new(path)).unwrap_or_else(|cause| {
                mistakes.push(format!("{source}: {path:?} cannot be read: {cause}"));
                toml::Table::new()
            }),
            None => toml::Table::new(),
        };
        let path = file.map_or_else(String::new, |(path, _)| path);
        let mut values = BTreeMap::new();
        for (setting, given) in settings.iter().zip(given) {
            let from_file = in_file.remove(setting.name).and_then(|value| {
                match file::text(setting.kind, value) {
                    Ok(value) => Some((value, Source::File(format!("{path}: {}", setting.name)))),
                    Err(cause) => {
                        mistakes.push(format!("{path}: {}: {cause}", setting.name));
                        None
                    }
                }
            });
            let default = || (setting.default.to_owned(), Source::Default(setting.name));
            values.insert(setting.name, given.or(from_file).unwrap_or_else(default));
        }
        mistakes
            .extend(in_file.keys().map(|key| format!("{path}: {}", unknown_key(key, settings))));
        let redacted = settings.iter().filter(|setting| setting.redacted);
        let redacted = redacted.map(|setting| setting.name).collect();
        let (mistaken, warnings) = (BTreeSet::new(), Vec::new());
        Self { given: values, mistakes, mistaken, redacted, warnings }
    }

    /// Returns the value of `name`; after a mistake, which is recorded, the default of the type.
    pub fn get<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &'static str) -> T {
        self.get_or(name, T::default())
    }

    /// Returns the value of `name`; after a mistake, which is recorded, `placeholder`.
    pub fn get_or<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        placeholder: T,
    ) -> T {
        let value = self.given.get(name).map(|(value, _)| value.clone());
        value.and_then(|value| self.parse(name, value.trim())).unwrap_or(placeholder)
    }

    /// Returns the duration `name`; zero after a mistake, which is recorded.
    pub fn duration(&mut self, name: &'static str) -> Duration {
        self.get::<DurationValue>(name).0
    }

    /// Returns the value of `name` if there is one.
    pub fn get_optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        let (value, _) = self.given.get(name).filter(|(value, _)| !value.trim().is_empty())?;
        self.parse(name, value.clone().trim())
    }

    fn parse<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        text: &str,
    ) -> Option<T> {
        text.parse().map_err(|cause: T::Err| self.mistake(name, &expected(&cause))).ok()
    }

    /// Returns the secret `name`, byte for byte, if there is one.
    #[must_use]
    pub fn secret(&self, name: &'static str) -> Option<Secret> {
        let (value, _) = self.given.get(name).filter(|(value, _)| !value.is_empty())?;
        Some(Secret::new(value.as_str()))
    }

    /// Returns the values of a list without those that are mistakes, which are recorded.
    pub fn get_list<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Vec<T> {
        let values = self.given.get(name).map_or("", |(values, _)| values).to_owned();
        let values = values.split(LIST_SEPARATOR).map(str::trim).filter(|value| !value.is_empty());
        values.filter_map(|value| self.parse(name, value)).collect()
    }

    /// Records a mistake in the value of `name` that only shows beside other settings. The first
    /// mistake of a setting counts.
    pub fn mistake(&mut self, name: &'static str, cause: &str) {
        if let Some((value, source)) = self.given.get(name)
            && self.mistaken.insert(name)
        {
            self.mistakes.push(match value.is_empty() || self.redacted.contains(name) {
                true => format!("{source}: {cause}"),
                false => format!("{source}: {value:?} is not valid: {cause}"),
            });
        }
    }

    /// What is probably a mistake, but harms nothing: for the log.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns `config`, or all [`Mistakes`] if there are any.
    pub fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        match self.mistakes.is_empty() {
            true => Ok(config),
            // A variable that was not read may be the reason for a mistake.
            false => Err(Mistakes([self.mistakes, self.warnings].concat())),
        }
    }
}

/// Reads a secret for a command without a table of settings.
///
/// # Errors
/// If the variable is not UTF-8, or the file that it names cannot be read.
pub fn read_secret(setting: &Setting) -> Result<Option<Secret>, Mistakes> {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    secret_from(setting, |variable| std::env::var_os(variable))
}

/// [`read_secret`] with another source of variables than the environment of the process.
fn secret_from(
    setting: &Setting,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Secret>, Mistakes> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let given = from_variable(setting, variable).map_err(|mistake| Mistakes(vec![mistake]))?;
    Ok(given.filter(|(value, _)| !value.is_empty()).map(|(value, _)| Secret::new(value)))
}

/// Returns the value by the setting's flag. A command need not have the flags of all settings.
fn from_flag(setting: &Setting, matches: &ArgMatches) -> Option<(String, Source)> {
    if setting.is_secret() {
        return None;
    }
    let values: Vec<_> =
        matches.try_get_many::<String>(setting.name).ok()??.map(String::as_str).collect();
    Some((values.join(LIST_SEPARATOR), Source::Flag(setting.name)))
}

/// What was expected in place of a value, which the errors of the standard library do not say.
fn expected(cause: &impl fmt::Display) -> String {
    let text = cause.to_string();
    let expected = match text.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "a whole number"
        }
        "provided string was not `true` or `false`" => "true or false",
        "number would be zero for non-zero type" => return "must be at least 1".to_owned(),
        _ => return text,
    };
    format!("expected {expected}")
}

/// Returns the value by the setting's variable, or, for a secret, by the file that one names.
fn from_variable(
    setting: &Setting,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(String, Source)>, String> {
    let name = setting.variable();
    let (name, value) = match variable(&name) {
        Some(value) => (name, value),
        None if setting.is_secret() => {
            let name = name + "_FILE";
            let Some(path) = variable(&name) else { return Ok(None) };
            let secret = fs::read_to_string(&path)
                .map_err(|cause| format!("{name}: {} cannot be read: {cause}", path.display()))?;
            (name, secret.trim_end_matches(['\r', '\n']).into())
        }
        None => return Ok(None),
    };
    let value = value.into_string().map_err(|_| format!("{name}: the value is not UTF-8"))?;
    let is_list = setting.kind == Kind::List;
    let value = if is_list { value.replace(',', LIST_SEPARATOR) } else { value };
    Ok(Some((value, Source::Variable(name))))
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
