//! Settings as flags, and their `--help`.

use std::ffi::OsStr;

use clap::{
    Arg, ArgAction, Command, ValueHint,
    builder::{PossibleValue, StringValueParser, TypedValueParser, UnknownArgumentValueParser},
};

use super::setting::{CONFIG, Kind, Setting};
use crate::cli::help;

/// A parser that takes any text and lists the possible values for `--help` and completions.
#[derive(Clone)]
struct Listed(&'static [&'static str]);

/// The flags of `settings`, and `--config`. Secrets have no flags: see [`secrets_help`].
pub fn args(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    let flags = settings.iter().copied().filter(|setting| !setting.is_secret());
    let has_address = settings.iter().any(|setting| setting.name == "listen");
    flags.chain([CONFIG]).map(arg).chain(has_address.then(port))
}

fn arg(setting: Setting) -> Arg {
    // A default that is not a value is in words at the end of the help text.
    let words = setting.help.strip_suffix(']').and_then(|help| help.split_once(" [default: "));
    let (help, default) = words.unwrap_or((setting.help, setting.default));
    let mut help = format!("{help} [env: {}]", setting.variable());
    if !default.is_empty() && setting.kind != Kind::Switch {
        help = format!("{help} [default: {default}]");
    }
    let arg = Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help);
    let arg = arg.help_heading(setting.heading).value_hint(hint(&setting));
    let arg = arg.hide_short_help(!setting.is_common);
    let arg = match setting.values {
        [] => arg,
        values => arg.value_parser(Listed(values)),
    };
    match setting.kind {
        Kind::List => arg.action(ArgAction::Append),
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        // So that `-1` is a wrong value and not an unknown flag.
        Kind::Value | Kind::Secret => arg.allow_negative_numbers(true),
    }
}

/// `--port` is not a setting, because Kubernetes sets `BOOKEND_PORT`. The message says how the port
/// is set.
fn port() -> Arg {
    let tip = "the port is part of the address, for example --listen 127.0.0.1:5000";
    Arg::new("port").long("port").hide(true).value_parser(UnknownArgumentValueParser::suggest(tip))
}

impl TypedValueParser for Listed {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// The section of `--help` about the secrets among `settings`.
#[must_use]
pub fn secrets_help(settings: &[Setting]) -> String {
    let secrets = settings.iter().filter(|setting| setting.is_secret());
    let lines = secrets.flat_map(|secret| {
        let variable = secret.variable();
        [format!("{variable}, or a file: {variable}_FILE"), format!("    {}", secret.help)]
    });
    let lines: Vec<_> = lines.collect();
    help::section("Secrets", &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// How a shell completes the value.
fn hint(setting: &Setting) -> ValueHint {
    match setting.value {
        "FILE" => ValueHint::FilePath,
        "DIR" => ValueHint::DirPath,
        // A shell completes the possible values.
        _ if !setting.values.is_empty() => ValueHint::Unknown,
        _ => ValueHint::Other,
    }
}
