//! The command line: which command, with what configuration, and the exit status.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Command, FromArgMatches};
use ingest::log::DeadLetterCode;
use shared::{
    cli::{self, block_on, stopped},
    config::{self, Settings},
    telemetry::{self, LogFormat},
};

use crate::{
    demo::{self, DemoArgs},
    generate::{self, GenerateArgs},
    load::{self, LoadArgs},
    redrive,
    serve::{self, ServeConfig},
    setup, verify,
};

const ABOUT: &str = "Bookend takes batches of session events, pairs starts with ends, and answers which sessions started where \
                     and which are a user's last complete ones.";
const EXITS: &str = "Exit status: 0 done, 1 a difference or a failure, 64 wrong configuration.\n\
                     Every setting of `serve` is also a variable (--data-dir is BOOKEND_DATA_DIR) and a key of the --config file.";
const VERIFY_NOTE: &str = "Nothing may be appended or handled meanwhile, or the two differ by that: an embedded log or store belongs to \
                           one process, so stop the service; over Kafka and Cassandra let it come to rest.";
const REDRIVE_NOTE: &str =
    "An embedded log belongs to one process, so stop the service; over Kafka it may go on.";

/// What `bookend verify` takes besides the settings of `serve`.
#[derive(Args, Debug)]
struct VerifyArgs {
    /// Write the outcome as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What `bookend redrive` takes besides the settings of `serve`.
#[derive(Args, Debug)]
struct RedriveArgs {
    /// Only dead letters with this code (repeatable); all without it
    #[arg(long, value_name = "CODE")]
    code: Vec<DeadLetterCode>,
}

/// Runs the command that `args` name, without one `serve`; answers the exit status.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(with_command(args.collect())) {
        Ok(matches) => matches,
        Err(said) => return cli::usage(&said),
    };
    cli::exit(dispatch(&matches))
}
fn command() -> Command {
    Command::new("bookend")
        .about(ABOUT)
        .after_help(EXITS)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommand(
            Command::new("serve")
                .about("Run the service (also without any command)")
                .after_help(config::secrets_help(&serve::settings()))
                .args(config::args(&serve::settings())),
        )
        .subcommand(DemoArgs::augment_args(
            Command::new("demo")
                .about("Show the service at work: made-up data, the answers, and a service to play with"),
        ))
        .subcommand(GenerateArgs::augment_args(
            Command::new("generate")
                .about("Make a data set of the original's shape: JSON lines, one event each"),
        ))
        .subcommand(LoadArgs::augment_args(
            Command::new("load")
                .about("Deliver files of events to a running service, with a summary at the end"),
        ))
        .subcommand(
            Command::new("setup")
                .about("Make the topics of Kafka and the tables of Cassandra, as far as they are missing")
                .after_help(config::secrets_help(&serve::settings()))
                .args(config::args(&serve::settings())),
        )
        .subcommand(
            VerifyArgs::augment_args(Command::new("verify").about(
                "Compute every answer anew from the log, compare it with the store, print the ledger",
            ))
            .after_help(format!("{VERIFY_NOTE}\n\n{}", config::secrets_help(&serve::settings())))
            .args(config::args(&serve::settings())),
        )
        .subcommand(
            RedriveArgs::augment_args(
                Command::new("redrive").about("Put dead letters back on the log, to be handled again"),
            )
            .after_help(format!("{REDRIVE_NOTE}\n\n{}", config::secrets_help(&serve::settings())))
            .args(config::args(&serve::settings())),
        )
}

/// `bookend` and `bookend --listen …` mean `bookend serve …`.
fn with_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let about = ["-h", "--help", "-V", "--version"];
    let first = args.get(1).and_then(|first| first.to_str());
    if first.is_none_or(|first| first.starts_with('-') && !about.contains(&first)) {
        args.insert(1.min(args.len()), "serve".into());
    }
    args
}

fn dispatch(matches: &clap::ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("serve", matches)) => {
            let config = serve_config(matches)?;
            block_on(async {
                let listener = config.process.listen().await?;
                serve::run(config, listener, stopped()?).await
            })
        }
        Some(("demo", matches)) => {
            let args = DemoArgs::from_arg_matches(matches)?;
            // It goes, with its data, when this is left.
            let dir = tempfile::tempdir().context("no temporary data directory")?;
            let place = dir.path().as_os_str();
            let embedded = ["serve", "--log=embedded", "--store=embedded", "--data-dir"].map(OsStr::new);
            let serve = Command::new("serve").args(config::args(&serve::settings()));
            let matches = serve.get_matches_from(embedded.into_iter().chain([place]));
            let config = ServeConfig::from_settings(Settings::of(&serve::settings(), &matches))?;
            telemetry::init(LogFormat::Human, "warn").map_err(anyhow::Error::msg)?;
            block_on(async { demo::run(args, config, stopped()?).await })
        }
        Some(("setup", matches)) => {
            let config = serve_config(matches)?;
            block_on(setup::run(&config))
        }
        Some(("verify", matches)) => {
            let (args, config) = (VerifyArgs::from_arg_matches(matches)?, serve_config(matches)?);
            block_on(async { verify::run(&config, args.json).await })
        }
        Some(("redrive", matches)) => {
            let (args, config) = (RedriveArgs::from_arg_matches(matches)?, serve_config(matches)?);
            block_on(async { redrive::run(&config, &args.code).await })
        }
        Some(("generate", matches)) => generate::run(&GenerateArgs::from_arg_matches(matches)?),
        Some(("load", matches)) => {
            let args = LoadArgs::from_arg_matches(matches)?;
            block_on(async {
                let summary = load::run(args).await?;
                anyhow::ensure!(
                    summary.undelivered == 0,
                    "{} events could not be delivered",
                    summary.undelivered
                );
                Ok(())
            })
        }
        // clap has answered for anything else.
        _ => Ok(()),
    }
}

/// The configuration that the settings among `matches` make; log lines are written as it says from then on.
fn serve_config(matches: &clap::ArgMatches) -> anyhow::Result<ServeConfig> {
    let config = ServeConfig::from_settings(Settings::of(&serve::settings(), matches))?;
    config.process.start_telemetry()?;
    Ok(config)
}
