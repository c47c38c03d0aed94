//! Settings as flags, and their `--help`.

use clap::{Arg, ArgAction, ValueHint};

use super::setting::{CONFIG, Kind, Setting};
use crate::cli::help;

/// The flags of `settings`, and `--config`. Secrets have no flags: see [`secrets_help`].
pub fn args(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    let flags = settings.iter().copied().filter(|setting| !setting.is_secret());
    flags.chain([CONFIG]).map(|setting| {
        // A default that is not a value is in words at the end of the help text.
        let words = setting.help.strip_suffix(']').and_then(|help| help.split_once(" [default: "));
        let (help, default) = words.unwrap_or((setting.help, setting.default));
        let mut help = format!("{help} [env: {}]", setting.variable());
        if !default.is_empty() && setting.kind != Kind::Switch {
            help = format!("{help} [default: {default}]");
        }
        let arg = Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help);
        let arg = arg.help_heading(setting.heading).value_hint(hint(&setting));
        match setting.kind {
            Kind::List => arg.action(ArgAction::Append),
            Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            // So that `-1` is a wrong value and not an unknown flag.
            Kind::Value | Kind::Secret => arg.allow_negative_numbers(true),
        }
    })
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
        _ => ValueHint::Other,
    }
}
