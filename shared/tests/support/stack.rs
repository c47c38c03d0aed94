//! Real Kafka and Cassandra for tests, started by `deploy/stack/up` on ports that are free.
//!
//! For tests of any crate. One stack is shared by all tests of a run, so a test gives its topics and keyspaces names of their
//! own, and never touches the servers themselves: for that it takes a stack of its own. Nothing here knows a driver.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a killed process may take to be gone.
const LIMIT: Duration = Duration::from_secs(20);

/// A running stack. One's own is stopped and removed when it is dropped.
pub(crate) struct Stack {
    dir: PathBuf,
    settings: HashMap<String, String>,
    shared: bool,
}

/// What a stack has one or three of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Kafka,
    Cassandra,
}

/// One server of a stack; the first is number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Kafka(u8),
    Cassandra(u8),
}

impl Stack {
    /// The one stack of this test run: a node of each, without TLS and passwords. Started by the first test that asks;
    /// it goes on running for the next test program, until `deploy/test` or `deploy/stack/down --dir target/stack` stops it.
    pub(crate) fn shared_plain() -> &'static Self {
        static SHARED: OnceLock<Stack> = OnceLock::new();
        SHARED.get_or_init(|| Self::up(target().join("stack"), true, &[]))
    }

    /// A stack of one's own, with `nodes` (1 or 3) nodes of each service.
    pub(crate) fn own(nodes: u8, tls: bool) -> Self {
        Self::start_own(nodes, tls, &[])
    }

    /// A stack of one's own that has one of the services alone.
    pub(crate) fn own_only(service: Service, nodes: u8, tls: bool) -> Self {
        Self::start_own(nodes, tls, &["--only", service.name()])
    }

    /// The brokers, as `--kafka-brokers` takes them.
    pub(crate) fn kafka_brokers(&self) -> &str {
        self.setting("BOOKEND_KAFKA_BROKERS")
    }

    /// The nodes, as `--cassandra-nodes` takes them.
    pub(crate) fn cassandra_nodes(&self) -> &str {
        self.setting("BOOKEND_CASSANDRA_NODES")
    }

    /// Any setting by the name of its variable, as Bookend would read it.
    pub(crate) fn setting(&self, variable: &str) -> &str {
        self.settings.get(variable).unwrap_or_else(|| panic!("this stack has no {variable}"))
    }

    /// Every setting as its variable, for a program that is started.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(variable, value)| (variable.as_str(), value.as_str()))
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&self, node: Node) {
        let pid = self.signal("KILL", node);
        let begun = Instant::now();
        // Empty while it has ended but whoever inherited it has not asked how.
        while fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty()) {
            assert!(begun.elapsed() < LIMIT, "{node} survives a kill");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub(crate) fn stop(&self, node: Node) {
        self.signal("STOP", node);
    }

    /// SIGCONT: it goes on where it was stopped.
    pub(crate) fn cont(&self, node: Node) {
        self.signal("CONT", node);
    }

    /// Starts a killed node again, with its data, and waits until it serves.
    pub(crate) fn start_again(&self, node: Node) {
        assert!(!self.shared, "the shared stack is not for drills");
        run(Command::new(program("up"))
            .arg("--dir")
            .arg(&self.dir)
            .args(["--node", &node.to_string()]));
    }

    /// Starts every killed node again, together: alone, the first of a cluster would wait for a majority.
    pub(crate) fn start_all_again(&self) {
        assert!(!self.shared, "the shared stack is not for drills");
        run(Command::new(program("up")).arg("--dir").arg(&self.dir));
    }

    /// The folder with the logs of its servers.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn start_own(nodes: u8, tls: bool, more: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = target().join("stacks").join(format!("{}-{number}", process::id()));
        // A process of the same number may have left one when it was killed.
        run(Command::new(program("down")).arg("--wipe").arg("--dir").arg(&dir));
        let nodes = nodes.to_string();
        let mut words = vec!["--nodes", &nodes];
        words.extend(tls.then_some("--tls"));
        words.extend(more);
        Self::up(dir, false, &words)
    }

    fn up(dir: PathBuf, shared: bool, words: &[&str]) -> Self {
        run(Command::new(program("up"))
            .args(["--port-offset", "free"])
            .args(words)
            .arg("--dir")
            .arg(&dir));
        let settings = fs::read_to_string(dir.join("stack.env")).unwrap();
        let settings = settings.lines().filter_map(|line| line.split_once('='));
        // A value that holds a blank is quoted for the shell.
        let settings = settings
            .map(|(variable, value)| (variable.to_owned(), value.trim_matches('\'').to_owned()));
        Self { settings: settings.collect(), dir, shared }
    }

    fn signal(&self, signal: &str, node: Node) -> u32 {
        assert!(!self.shared, "the shared stack is not for drills");
        let pid = fs::read_to_string(self.dir.join(format!("{node}.pid")))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        run(Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]));
        pid
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.shared {
            run(Command::new(program("down")).arg("--wipe").arg("--dir").arg(&self.dir));
        }
    }
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
        }
    }
}

/// Its name among the files of the stack.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(number) => write!(f, "kafka-{number}"),
            Self::Cassandra(number) => write!(f, "cassandra-{number}"),
        }
    }
}

/// Runs `command` to its end, which has to be a good one.
fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        ended.status.success(),
        "{command:?}: {}\n{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// A program of `deploy/stack`.
fn program(name: &str) -> PathBuf {
    let up = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("deploy/stack").join(name));
    up.into_iter()
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("the tests run in a checkout"))
}

/// Cargo's target folder, which is every test program's: of a crate's own tests too, to which Cargo does not tell it.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
