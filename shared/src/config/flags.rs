//! Settings on the command line and in `--help`.

use clap::{Arg, ArgAction};

use super::{CONFIG, Kind, Setting};

/// The flags of `settings`, and `--config`. Secrets have none: [`secrets_help`] tells of them.
pub fn args(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    let flags = settings.iter().copied().filter(|setting| setting.kind != Kind::Secret);
    flags.chain([CONFIG]).map(|setting| {
        let mut help = format!("{} [env: {}]", setting.help, setting.variable());
        if !setting.default.is_empty() && setting.kind == Kind::Value {
            help = format!("{help} [default: {}]", setting.default);
        }
        let arg = Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help);
        let arg = arg.help_heading(setting.heading);
        match setting.kind {
            Kind::List => arg.action(ArgAction::Append),
            Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            Kind::Value | Kind::Secret => arg,
        }
    })
}

/// A paragraph for the end of `--help` about the secrets among `settings`.
#[must_use]
pub fn secrets_help(settings: &[Setting]) -> String {
    let secrets = settings.iter().filter(|setting| setting.kind == Kind::Secret);
    let lines = secrets
        .map(|secret| format!("  {0}, or {0}_FILE with a file's path: {1}", secret.variable(), secret.help));
    lines.fold("Secrets are given by variables:".to_owned(), |text, line| text + "\n" + &line)
}
