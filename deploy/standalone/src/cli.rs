//! The command line: which command, with what configuration, and the exit status.

use std::{ffi::OsString, future::Future, process::ExitCode};

use anyhow::Context;
use clap::{Args, Command, FromArgMatches};
use shared::{
    config::{self, EXIT_USAGE, Mistakes, Settings},
    telemetry,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    generate::{self, GenerateArgs},
    load::{self, LoadArgs},
    serve::{self, ServeConfig},
};

const ABOUT: &str = "Bookend takes batches of session events, pairs starts with ends, and answers which sessions started where \
                     and which are a user's last complete ones.";
const EXITS: &str = "Exit status: 0 done, 1 a difference or a failure, 64 wrong configuration.\n\
                     Every setting of `serve` is also a variable (--data-dir is BOOKEND_DATA_DIR) and a key of the --config file.";

/// How many threads may wait for the disk at once.
const BLOCKING_THREADS: usize = 32;

/// Runs the command that `args` name, without one `serve`; answers the exit status.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let matches = command().get_matches_from(with_command(args.collect()));
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
        .subcommand(GenerateArgs::augment_args(
            Command::new("generate")
                .about("Make a data set of the original's shape: JSON lines, one event each"),
        ))
        .subcommand(LoadArgs::augment_args(
            Command::new("load")
                .about("Deliver files of events to a running service, with a summary at the end"),
        ))
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
            let config = ServeConfig::from_settings(Settings::of(&serve::settings(), matches))?;
            telemetry::init(config.log_format, &config.log_level).map_err(|cause| Mistakes(vec![cause]))?;
            block_on(async {
                let listener = TcpListener::bind(config.listen)
                    .await
                    .with_context(|| format!("cannot listen on {}", config.listen))?;
                serve::run(config, listener, stopped()?).await
            })
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
