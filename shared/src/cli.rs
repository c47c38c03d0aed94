//! Around a service: the settings that every process has, its runtime, its signals and its exit status.

use std::{
    fmt,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    num::NonZero,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Command;
use serde::Serialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    about,
    clock::Clock,
    config::{self, EXIT_USAGE, Mistakes, Setting, Settings, Span},
    files,
    http::ServeOptions,
    telemetry::{self, LogFormat},
    timestamp::Timestamp,
};

pub mod help;
pub mod packaging;

/// How many threads may wait for the disk at once.
const BLOCKING_THREADS: usize = 32;

/// How long what still blocks may keep a process that has ended its work.
const LAST_WORK: Duration = Duration::from_secs(5);

/// On how many threads a process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As many as there are processors.
    All,
    /// Half as many, and at least one: for a process that mostly waits for others, which may need the processors it would take.
    Half,
}

/// What every process is told.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The address of its one port.
    pub listen: SocketAddr,
    /// When the clock starts; now when it is not given.
    pub as_of: Option<Timestamp>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: String,
    /// Limits on connections.
    pub connections: ServeOptions,
}

/// The settings of a [`ProcessConfig`], with the address at which this process listens by default.
#[must_use]
#[rustfmt::skip]
pub fn settings(listen: &'static str) -> Vec<Setting> {
    vec![
        Setting::new("listen", "ADDRESS", listen, "Where to listen"),
        Setting::new("as-of", "TIME", "", "Start the clock at this instant, as 2019-05-13T12:00:00Z, to load and ask about old data as if it were then"),
        Setting::new("log-format", "FORMAT", "human", "How log lines are written: human or json"),
        Setting::new("log-level", "FILTER", "info", "Which log lines are written: error, warn, info, debug, or a filter as ingest=debug,info"),
        Setting::new("max-connections", "N", "4096", "How many connections may be open at once; one more is answered 503"),
        Setting::new("header-timeout", "TIME", "15s", "How long a client may take to send the headers of a request"),
        Setting::new("write-timeout", "TIME", "30s", "How long a client may leave an answer unread; then it is cut off"),
        Setting::new("drain-timeout", "TIME", "20s", "How long requests under way may take after SIGTERM"),
    ]
}

impl ProcessConfig {
    /// Reads the settings; mistakes are noted in `given`.
    pub fn read(given: &mut Settings) -> Self {
        let config = Self {
            listen: given.get_or("listen", SocketAddr::from(([127, 0, 0, 1], 5000))),
            as_of: given.get_optional("as-of"),
            log_format: given.get("log-format"),
            log_level: given.get("log-level"),
            connections: ServeOptions {
                max_connections: given.get("max-connections"),
                header_timeout: given.get_or("header-timeout", Span(Duration::ZERO)).0,
                write_timeout: given.get_or("write-timeout", Span(Duration::ZERO)).0,
                drain_timeout: given.get_or("drain-timeout", Span(Duration::ZERO)).0,
            },
        };
        if let Err(cause) = telemetry::check_filter(&config.log_level) {
            given.mistake("log-level", &cause);
        }
        config
    }

    /// The clock that this configuration asks for.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.as_of.map_or_else(Clock::machine, Clock::starting_at)
    }

    /// Writes log lines as this configuration says, from now on.
    ///
    /// # Errors
    /// [`Mistakes`] with what is wrong with the filter.
    pub fn start_telemetry(&self) -> Result<(), Mistakes> {
        telemetry::init(self.log_format, &self.log_level).map_err(|cause| Mistakes(vec![cause]))
    }

    /// The listener of the one port.
    ///
    /// # Errors
    /// Names the address that cannot be had.
    pub async fn listen(&self) -> anyhow::Result<TcpListener> {
        TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))
    }

    /// No more connections than there is room for beside the files of everything else.
    #[must_use]
    pub fn connections(&self) -> ServeOptions {
        let (room, wanted) = (files::room_for_connections(), self.connections.max_connections);
        if room < wanted {
            tracing::warn!(room, wanted, "the limit on open files allows fewer connections");
        }
        ServeOptions { max_connections: wanted.min(room), ..self.connections }
    }
}

/// A program of this name, which says what it is for and which build of it this is; `librdkafka` is the version of that where it
/// is built in.
#[must_use]
pub fn program(name: &'static str, about: &'static str, librdkafka: Option<&str>) -> Command {
    Command::new(name)
        .about(about)
        .version(about::VERSION)
        .long_version(about::long_version(librdkafka))
}

/// The whole of a program that only serves: reads `settings` from flags, variables and file, and runs until it is told to
/// stop. `run` makes the configuration, and tells what is to be awaited on which threads.
pub fn main<F>(
    program: Command,
    settings: &[Setting],
    run: impl FnOnce(Settings) -> anyhow::Result<(Threads, F)>,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let notes = [
        help::exit_status(),
        help::environment("every setting"),
        help::files(&[]),
        config::secrets_help(settings),
    ];
    let program = program.args(config::args(settings)).after_help(help::sections(&notes));
    let program = packaging::offered(program).args_conflicts_with_subcommands(true);
    match program.clone().try_get_matches() {
        Ok(matches) => exit(packaging::given(&program, &matches).unwrap_or_else(|| {
            let (threads, work) = run(Settings::of(settings, &matches))?;
            block_on_threads(threads, work)
        })),
        Err(said) => usage(&said),
    }
}

/// The exit status after clap has spoken: help and version are answers; anything else is a mistake, and has the status of all
/// mistakes.
#[must_use]
pub fn usage(said: &clap::Error) -> ExitCode {
    // Who asked may have gone, as in `bookend --help | head -1`.
    said.print().ok();
    ExitCode::from(if said.use_stderr() { EXIT_USAGE } else { 0 })
}

/// The exit status of what a command did; says what failed.
#[must_use]
pub fn exit(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let (text, status) = match error.downcast_ref::<Mistakes>() {
        Some(mistakes) => (mistakes.to_string(), EXIT_USAGE),
        None => (format!("bookend: {error:#}"), 1),
    };
    // The last words of a program, to the person who ran it, who may have gone.
    writeln!(io::stderr(), "{text}").ok();
    ExitCode::from(status)
}

/// Writes what was asked for to standard output. A reader that has seen enough and left is no failure.
///
/// # Errors
/// When it cannot be written, as to a disk that is full.
pub fn print(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The same with the line of JSON that `outcome` is, or with `text`.
///
/// # Errors
/// When it cannot be written.
pub fn print_outcome(
    outcome: &impl Serialize,
    json: bool,
    text: impl fmt::Display,
) -> io::Result<()> {
    let text = if json { serde_json::to_string(outcome)? } else { text.to_string() };
    print(format!("{}\n", text.trim_end()).as_bytes())
}

/// Runs `work` to its end, on as many threads as there are processors.
///
/// # Errors
/// Those of `work`, or that there are no threads to be had.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    block_on_threads(Threads::All, work)
}

fn block_on_threads<T>(
    threads: Threads,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(match threads {
            Threads::All => processors,
            Threads::Half => processors.div_ceil(2),
        })
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(work);
    // What still blocks must not keep the process.
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}

/// Completes when the process is told to stop.
///
/// # Errors
/// When signals cannot be had.
pub fn stopped() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_mostly_waits_takes_half_of_the_processors() {
        let threads = |threads| {
            block_on_threads(threads, async {
                Ok(tokio::runtime::Handle::current().metrics().num_workers())
            })
        };
        let all = threads(Threads::All).unwrap();
        assert_eq!(threads(Threads::Half).unwrap(), all - all / 2);
    }
}
