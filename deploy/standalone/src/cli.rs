//! The command line: which command, with what configuration, and the exit status.

use std::{ffi::OsString, future::Future, process::ExitCode};

use anyhow::Context;
use clap::{Args, Command, FromArgMatches};
use ingest::log::DeadLetterCode;
use shared::{
    config::{self, EXIT_USAGE, Mistakes, Settings},
    telemetry::{self, LogFormat},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    demo::{self, DemoArgs},
    generate::{self, GenerateArgs},
    load::{self, LoadArgs},
    redrive,
    serve::{self, ServeConfig},
    verify,
};

const ABOUT: &str = "Bookend takes batches of session events, pairs starts with ends, and answers which sessions started where \
                     and which are a user's last complete ones.";
const EXITS: &str = "Exit status: 0 done, 1 a difference or a failure, 64 wrong configuration.\n\
                     Every setting of `serve` is also a variable (--data-dir is BOOKEND_DATA_DIR) and a key of the --config file.";

/// How many threads may wait for the disk at once.
const BLOCKING_THREADS: usize = 32;

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
        Err(said) => {
            // Help and version are answers; anything else is a mistake, and has the status of all mistakes.
            let status = if said.use_stderr() { EXIT_USAGE } else { 0 };
            // Who asked may have gone, as in `bookend --help | head -1`.
            said.print().ok();
            return ExitCode::from(status);
        }
    };
    match dispatch(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, status) = match error.downcast_ref::<Mistakes>() {
                Some(mistakes) => (mistakes.to_string(), EXIT_USAGE),
                None => (format!("bookend: {error:#}"), 1),
            };
            #[expect(clippy::print_stderr, reason = "the last words of a command, to the person who ran it")]
            {
                eprintln!("{text}");
            }
            ExitCode::from(status)
        }
    }
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
            VerifyArgs::augment_args(Command::new("verify").about(
                "Compute every answer anew from the log, compare it with the store, print the ledger",
            ))
            .after_help("The service must not be running on the data directory.")
            .args(config::args(&serve::settings())),
        )
        .subcommand(
            RedriveArgs::augment_args(
                Command::new("redrive").about("Put dead letters back on the log, to be handled again"),
            )
            .after_help("The service must not be running on the data directory.")
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
                let listener = TcpListener::bind(config.listen)
                    .await
                    .with_context(|| format!("cannot listen on {}", config.listen))?;
                serve::run(config, listener, stopped()?).await
            })
        }
        Some(("demo", matches)) => {
            let args = DemoArgs::from_arg_matches(matches)?;
            let defaults =
                Command::new("serve").args(config::args(&serve::settings())).get_matches_from(["serve"]);
            let config = ServeConfig::from_settings(Settings::of(&serve::settings(), &defaults))?;
            telemetry::init(LogFormat::Human, "warn").map_err(anyhow::Error::msg)?;
            block_on(async { demo::run(args, config, stopped()?).await })
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
    telemetry::init(config.log_format, &config.log_level).map_err(|cause| Mistakes(vec![cause]))?;
    Ok(config)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(work);
    // What still blocks must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}

/// Completes when the process is told to stop.
fn stopped() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop: finishing what is under way");
    })
}
