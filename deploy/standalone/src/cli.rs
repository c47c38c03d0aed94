//! The command line: selects the command, reads its configuration and returns the exit status.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use clap::{
    Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};
use shared::{
    cli::{self, block_on, interrupted, stopped},
    config::{self, Setting, Settings},
    telemetry::{self, LogFormat},
};

use self::commands::{RedriveArgs, ReportArgs};
use crate::{
    demo::{self, DemoArgs},
    generate::{self, GenerateArgs},
    health::{self, HealthArgs},
    key::{self, ListArgs, NewArgs, RevokeArgs},
    load::{self, LoadArgs},
    redrive,
    serve::{self, ServeConfig},
    setup, verify,
};

mod commands;
mod reads;

/// The settings of each program, by its name. `--help` is generated from the same tables.
#[must_use]
pub fn program_settings() -> [(&'static str, Vec<Setting>); 3] {
    [
        ("bookend", serve::settings()),
        ("ingest", ingest::config::program_settings()),
        ("query-api", query_api::config::program_settings()),
    ]
}

/// Runs the command of `args` and returns the exit status. Without one, prints the help to standard
/// error.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let program = commands::program();
    let matches = match program.clone().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(message) => return cli::usage(program.get_name(), &with_tip(message)),
    };
    let outcome = cli::packaging::run(&program, &matches).unwrap_or_else(|| dispatch(&matches));
    cli::exit(program.get_name(), outcome)
}

/// Adds a tip to the message about a flag in place of a command: earlier versions served then.
fn with_tip(mut message: clap::Error) -> clap::Error {
    let is_unknown = message.kind() == ErrorKind::UnknownArgument;
    if is_unknown
        && matches!(message.get(ContextKind::Usage), Some(ContextValue::StyledStr(usage)) if usage.to_string().contains("<COMMAND>"))
    {
        let tip =
            "a command comes before its flags, for example: bookend serve --listen 127.0.0.1:5000";
        message.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    message
}

fn dispatch(matches: &clap::ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("serve", matches)) => {
            let config = ServeConfig::for_service(Settings::of(&serve::settings(), matches))?;
            config.process.start_telemetry()?;
            block_on(async {
                let listeners = config.process.listen().await?;
                serve::run(config, listeners, stopped()?).await
            })
        }
        Some(("demo", matches)) => {
            let mut args = DemoArgs::from_arg_matches(matches)?;
            // Removed with its data when the demo ends.
            let dir = tempfile::tempdir().context("cannot create a temporary data directory")?;
            let serve = Command::new("serve").args(config::args(&serve::settings()));
            let matches = serve.get_matches_from(args.settings(dir.path()));
            let config = ServeConfig::for_service(Settings::of(&serve::settings(), &matches))?;
            args.read_key(&config)?;
            telemetry::init(LogFormat::Human, "warn").map_err(anyhow::Error::msg)?;
            block_on(async { demo::run(args, config, stopped()?).await })
        }
        Some(("setup", matches)) => {
            let (args, config) = (ReportArgs::from_arg_matches(matches)?, serve_config(matches)?);
            block_on(setup::run(&config, args.json))
        }
        Some(("verify", matches)) => {
            let (args, config) = (ReportArgs::from_arg_matches(matches)?, serve_config(matches)?);
            block_on(async { verify::run(&config, args.json).await })
        }
        Some(("redrive", matches)) => {
            let (args, config) = (RedriveArgs::from_arg_matches(matches)?, serve_config(matches)?);
            block_on(async { redrive::run(&config, &args.code, args.json).await })
        }
        Some(("generate", matches)) => generate::run(&GenerateArgs::from_arg_matches(matches)?),
        Some(("load", matches)) => {
            let mut args = LoadArgs::from_arg_matches(matches)?;
            args.options.client.read_key()?;
            block_on(async { load::run(args, interrupted()?).await })
        }
        Some(("health", matches)) => {
            let args = HealthArgs::from_arg_matches(matches)?;
            block_on(health::run(args, Settings::of(&every_setting(), matches)))
        }
        Some(("config", matches)) => print_config(matches),
        Some(("key", matches)) => change_keys(matches),
        // clap reports anything else.
        _ => Ok(()),
    }
}

/// Prints the configuration that `serve` would have, or all of its mistakes.
fn print_config(matches: &clap::ArgMatches) -> anyhow::Result<()> {
    // There is one command, `print`.
    let Some((_, matches)) = matches.subcommand() else { return Ok(()) };
    let given = Settings::of(&serve::settings(), matches);
    let text = given.shown(&serve::settings());
    for warning in &ServeConfig::for_service(given)?.process.warnings {
        cli::say("bookend", format_args!("warning: {warning}"));
    }
    Ok(cli::print(text.as_bytes())?)
}

/// The settings of all programs: `health` may find a configuration file of any of them.
fn every_setting() -> Vec<Setting> {
    let mut all: Vec<Setting> = Vec::new();
    for (_, settings) in program_settings() {
        let others = settings.into_iter().filter(|it| !all.iter().any(|of| of.name == it.name));
        let others: Vec<_> = others.collect();
        all.extend(others);
    }
    all
}

fn change_keys(matches: &clap::ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("new", matches)) => key::new(NewArgs::from_arg_matches(matches)?),
        Some(("list", matches)) => key::list(&ListArgs::from_arg_matches(matches)?),
        Some(("revoke", matches)) => key::revoke(&RevokeArgs::from_arg_matches(matches)?),
        _ => Ok(()),
    }
}

/// Reads the configuration of a command on the data of `serve` from `matches`, and starts to write
/// log lines.
fn serve_config(matches: &clap::ArgMatches) -> anyhow::Result<ServeConfig> {
    let config = ServeConfig::from_settings(Settings::of(&serve::settings(), matches))?;
    config.process.start_telemetry()?;
    Ok(config)
}
