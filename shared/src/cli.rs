//! The frame around a service: the settings of every process, its runtime and exit status.

use std::{
    future::{Future, ready},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::bail;
use clap::Command;
use futures_util::future::BoxFuture;
use prometheus::Registry;
use tokio::net::TcpListener;

pub use self::{
    output::{Reported, deliver, exit, print, print_report, say, usage},
    signals::{interrupted, looks, stopped},
};
use crate::{
    access::{self, config::AccessConfig},
    build_info,
    clock::Clock,
    config::{self, ListenAddress, Mistakes, Setting, Settings},
    http::{Gate, Listeners, ServeOptions},
    open_files,
    telemetry::{self, LogFormat},
    timestamp::Timestamp,
    tls::{self, Tls, TlsFiles},
};

pub mod help;
mod output;
pub mod packaging;
mod signals;

/// The most threads that may block on the disk at once.
const BLOCKING_THREADS: usize = 32;

/// The longest time that blocked threads may delay the exit of the process.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of worker threads of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One per processor.
    All,
    /// Half as many, at least one: for a process that mostly waits for servers, which may run on
    /// the same machine.
    Half,
}

/// The configuration that every process has.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The address of its only port.
    pub listen: SocketAddr,
    /// The instant at which the clock starts; `None` is the present.
    pub as_of: Option<Timestamp>,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The filter for log lines.
    pub log_level: String,
    /// Limits on connections.
    pub connections: ServeOptions,
    /// The files of the TLS certificate; `None` without TLS.
    pub tls: Option<TlsFiles>,
    /// Who may use the process.
    pub access: AccessConfig,
    /// What is probably a mistake in the configuration, but harms nothing.
    pub warnings: Vec<String>,
}

/// The settings of a [`ProcessConfig`]. `listen` is the default address of this process.
#[must_use]
#[rustfmt::skip]
pub fn settings(listen: &'static str) -> Vec<Setting> {
    let mut all = vec![
        Setting::new("listen", "ADDRESS", listen, "Address to listen on; :PORT means every address of the machine").common(),
        Setting::new("as-of", "TIME", "", "Run as if it were this time, for example 2019-05-13T12:00:00Z (for old data)"),
        Setting::new("log-format", "FORMAT", "human", "Format of log lines").one_of::<LogFormat>(),
        Setting::new("log-level", "FILTER", "info", "Level of log lines: error, warn, info, debug, or a filter as in ingest=debug,info").common(),
        Setting::new("max-connections", "N", "4096", "Maximum of open connections, and of their additional requests with HTTP/2; then 503"),
        Setting::new("header-timeout", "TIME", "15s", "Time limit for request headers, and for the first request of a connection"),
        Setting::new("idle-timeout", "TIME", "75s", "Close a connection that is idle for this long after an answered request"),
        Setting::new("write-timeout", "TIME", "30s", "Close a connection, or reset a stream, whose client reads no reply for this long"),
        Setting::new("max-reply-bytes", "BYTES", "128MiB", "Total size of replies that clients have not read yet; 503 when it is used up"),
        Setting::new("drain-window", "TIME", "5s", "How long requests are still accepted after SIGTERM, while /readyz is 503"),
        Setting::new("drain-timeout", "TIME", "20s", "How long requests in flight may take to finish after the drain window"),
    ];
    all.extend(tls::settings());
    all.extend(access::config::settings());
    all
}

impl ProcessConfig {
    /// Reads the settings and records mistakes in `given`.
    pub fn read(given: &mut Settings) -> Self {
        let config = Self {
            // Any address will do after a mistake: the process does not start.
            listen: given.get_or("listen", ListenAddress(([0, 0, 0, 0], 0).into())).0,
            as_of: given.get_optional("as-of"),
            log_format: given.get("log-format"),
            log_level: given.get("log-level"),
            connections: ServeOptions::read(given),
            tls: TlsFiles::read(given),
            access: AccessConfig::read(given),
            warnings: given.warnings().to_vec(),
        };
        if let Err(cause) = telemetry::check_filter(&config.log_level) {
            given.mistake("log-level", &cause);
        }
        config
    }

    /// The configured clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.as_of.map_or_else(Clock::machine, Clock::starting_at)
    }

    /// Starts to write log lines as configured; the first ones are warnings about the
    /// configuration.
    pub fn start_telemetry(&self) -> Result<(), Mistakes> {
        telemetry::init(self.log_format, &self.log_level).map_err(|cause| Mistakes(vec![cause]))?;
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        Ok(())
    }

    /// Records the mistakes about access that only a service can make in `given`; one with
    /// `nothing_to_protect` may be reached by everybody.
    pub fn check_access(&self, nothing_to_protect: bool, given: &mut Settings) {
        self.access.check(self.listen, nothing_to_protect, given);
    }

    /// Binds the ports.
    pub async fn listen(&self) -> anyhow::Result<Listeners> {
        let main = bind("listen", self.listen).await?;
        let operations = match self.access.operations {
            Some(address) => Some(bind("operations-listen", address).await?),
            None => None,
        };
        Ok(Listeners { main, operations })
    }

    /// Opens the gate in front of all routes. The future follows the file of keys.
    pub fn gate(&self, registry: &Registry) -> anyhow::Result<(Gate, BoxFuture<'static, ()>)> {
        let AccessConfig { open, allowed_hosts, cors_origins, .. } = &self.access;
        let gate = Gate::default().with_origins(cors_origins.clone()).counted(registry)?;
        if self.tls.is_none() && self.access.shows_keys(self.listen) {
            tracing::warn!(
                "keys are readable on their way to {}: set --tls-cert and --tls-key, or let a proxy \
                 encrypt and name it with --trusted-proxies",
                self.listen
            );
        }
        if let Some(keys) = self.access.open_keys()? {
            let watching = Box::pin(keys.watch(registry, looks()?)?);
            return Ok((gate.with_keys(keys), watching));
        }
        access::register_without_keys(registry)?;
        let is_local = self.listen.ip().to_canonical().is_loopback() && !open;
        let gate = if is_local { gate.with_hosts(allowed_hosts.clone()) } else { gate };
        Ok((gate, Box::pin(ready(()))))
    }

    /// Starts TLS if it is configured, with its metrics in `registry`.
    pub fn start_tls(&self, registry: &Registry) -> anyhow::Result<Option<Arc<Tls>>> {
        self.tls.as_ref().map(|files| Tls::start(files.clone(), registry)).transpose()
    }

    /// The limits on connections, lowered if the limit on open files requires it.
    #[must_use]
    pub fn connections(&self) -> ServeOptions {
        let (room, wanted) = (open_files::room_for_connections(), self.connections.max_connections);
        if room < wanted {
            tracing::warn!(
                room,
                wanted,
                "the limit on open files allows fewer connections than --max-connections; raise \
                 the limit (ulimit -n, LimitNOFILE)"
            );
        }
        ServeOptions { max_connections: wanted.min(room), ..self.connections }
    }
}

/// Binds the `address` of `setting`.
async fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let cause = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(cause) => cause,
    };
    let port = address.port();
    if cause.kind() != io::ErrorKind::AddrInUse {
        // Every address of a machine without IPv6.
        let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        if address.ip() == Ipv6Addr::UNSPECIFIED
            && let Ok(listener) = TcpListener::bind(fallback).await
        {
            return Ok(listener);
        }
        bail!("cannot listen on {address}: {cause}; name another address with --{setting}");
    }
    let free = SocketAddr::new(address.ip(), port.wrapping_add(1).max(1024));
    bail!("cannot listen on {address}: {cause}; name a free port, for example --{setting} {free}")
}

/// The command line of a program: its name, its purpose and its version. `librdkafka` is the
/// version of that library if the program contains it.
#[must_use]
pub fn program(name: &'static str, about: &'static str, librdkafka: Option<&str>) -> Command {
    Command::new(name)
        .about(about)
        .version(build_info::VERSION)
        .long_version(build_info::long_version(librdkafka))
}

/// The `main` of a program that is one service. Reads `settings` from flags, variables and the
/// file, and runs until a signal arrives. `run` returns the service and its number of threads.
pub fn main<F>(
    program: Command,
    settings: &[Setting],
    run: impl FnOnce(Settings) -> anyhow::Result<(Threads, F)>,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let example = format!("{} --config {0}.toml", program.get_name());
    let notes = [
        help::section("Example", &[&example]),
        help::exit_status(&[]),
        help::environment("every setting"),
        help::files(&[]),
        config::secrets_help(settings),
    ];
    let program = help::with_notes(program.args(config::args(settings)), &notes);
    let program = packaging::with_commands(program).args_conflicts_with_subcommands(true);
    match program.clone().try_get_matches() {
        Ok(matches) => {
            let outcome = packaging::run(&program, &matches).unwrap_or_else(|| {
                let (threads, work) = run(Settings::of(settings, &matches))?;
                block_on_threads(threads, work)
            });
            exit(program.get_name(), outcome)
        }
        Err(message) => usage(program.get_name(), &message),
    }
}

/// Runs `work` to completion on one thread per processor.
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
    let result = runtime.block_on(work);
    // A blocked thread must not keep the process alive.
    runtime.shutdown_timeout(EXIT_TIMEOUT);
    result
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
