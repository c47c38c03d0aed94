//! Real Kafka and Cassandra for tests, started by `deploy/stack/up` on free ports.
//!
//! All tests of a run share one stack. A test uses topics and keyspaces with names of its own and
//! leaves the servers alone; a test that stops servers starts its own stack.

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

/// The longest time until a killed process has ended.
const LIMIT: Duration = Duration::from_secs(20);

/// A running stack. A stack of one test is stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    settings: HashMap<String, String>,
    shared: bool,
}

/// A service of a stack, which has one or three nodes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Kafka.
    Kafka,
    /// Cassandra.
    Cassandra,
}

/// One server of a stack, by its number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A broker.
    Kafka(u8),
    /// A Cassandra node.
    Cassandra(u8),
}

impl Stack {
    /// The stack that all tests of a run share: one node of each service, without TLS and
    /// passwords. The first test starts it. It runs until `deploy/test` or `deploy/stack/down --dir
    /// target/stack` stops it.
    #[must_use]
    pub fn shared_plain() -> &'static Self {
        static SHARED: OnceLock<Stack> = OnceLock::new();
        SHARED.get_or_init(|| Self::up(target().join("stack"), true, &[]))
    }

    /// Starts a stack for one test, with `nodes` (1 or 3) nodes of each service.
    #[must_use]
    pub fn own(nodes: u8, tls: bool) -> Self {
        Self::start_own(nodes, tls, &[])
    }

    /// Starts a stack for one measurement: one node of each service, with the heap size and the
    /// garbage collector of its own start script.
    #[must_use]
    pub fn own_for_measurements() -> Self {
        Self::start_own(1, false, &["--bench"])
    }

    /// Starts a stack for one test with only one of the services.
    #[must_use]
    pub fn own_only(service: Service, nodes: u8, tls: bool) -> Self {
        Self::start_own(nodes, tls, &["--only", service.name()])
    }

    /// Starts a stack for one test with one Cassandra node that requires a login, and with
    /// `setting` in its `cassandra.yaml`.
    #[must_use]
    pub fn own_cassandra_with(setting: &str) -> Self {
        let only = ["--only", Service::Cassandra.name()];
        Self::start_own(1, true, &[&only[..], &["--cassandra-setting", setting]].concat())
    }

    /// Starts a stack for one test with TLS, one node of each service, and `users` without rights.
    /// Their password is that of the stack.
    #[must_use]
    pub fn own_with_users(users: &[&str]) -> Self {
        let words: Vec<_> = users.iter().flat_map(|user| ["--user", user]).collect();
        Self::start_own(1, true, &words)
    }

    /// The value of `--kafka-brokers`.
    #[must_use]
    pub fn kafka_brokers(&self) -> &str {
        self.setting("BOOKEND_KAFKA_BROKERS")
    }

    /// The value of `--cassandra-nodes`.
    #[must_use]
    pub fn cassandra_nodes(&self) -> &str {
        self.setting("BOOKEND_CASSANDRA_NODES")
    }

    /// The value of a setting by the name of its variable.
    #[must_use]
    pub fn setting(&self, variable: &str) -> &str {
        self.settings.get(variable).unwrap_or_else(|| panic!("this stack has no {variable}"))
    }

    /// The variables of all settings, for the environment of a program.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(variable, value)| (variable.as_str(), value.as_str()))
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(&self, node: Node) {
        let pid = self.signal("KILL", node);
        let begun = Instant::now();
        // The command line of a zombie process is empty.
        while fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty()) {
            assert!(begun.elapsed() < LIMIT, "{node} still runs after SIGKILL");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Sends SIGSTOP, and waits until every thread has stopped: on a busy machine, some continue
    /// for a while. The server keeps its connections and does not reply.
    pub fn stop(&self, node: Node) {
        let pid = self.signal("STOP", node);
        let begun = Instant::now();
        while !has_stopped(pid) {
            assert!(begun.elapsed() < LIMIT, "{node} still runs after SIGSTOP");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Sends SIGCONT: the server continues.
    pub fn cont(&self, node: Node) {
        self.signal("CONT", node);
    }

    /// Restarts a killed node with its data, and waits until it serves requests.
    pub fn start_again(&self, node: Node) {
        assert!(!self.shared, "servers of the shared stack must not be stopped");
        run(Command::new(program("up"))
            .arg("--dir")
            .arg(&self.dir)
            .args(["--node", &node.to_string()]));
    }

    /// Adds `properties`, one a line, to those of the brokers that start from now on.
    pub fn set_kafka_properties(&self, properties: &str) {
        assert!(!self.shared, "servers of the shared stack must not be changed");
        fs::write(self.dir.join("kafka.properties"), properties).unwrap();
    }

    /// Restarts all killed nodes together: the first node alone would wait for a majority.
    pub fn start_all_again(&self) {
        assert!(!self.shared, "servers of the shared stack must not be stopped");
        run(Command::new(program("up")).arg("--dir").arg(&self.dir));
    }

    /// The directory with the logs of its servers.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn start_own(nodes: u8, tls: bool, more: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = target().join("stacks").join(format!("{}-{number}", process::id()));
        // An earlier process with the same id may have been killed and left a stack.
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
        // A value with a blank is quoted for the shell.
        let settings = settings
            .map(|(variable, value)| (variable.to_owned(), value.trim_matches('\'').to_owned()));
        Self { settings: settings.collect(), dir, shared }
    }

    fn signal(&self, signal: &str, node: Node) -> u32 {
        assert!(!self.shared, "servers of the shared stack must not be stopped");
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

/// The name of the server in the files of the stack.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(number) => write!(f, "kafka-{number}"),
            Self::Cassandra(number) => write!(f, "cassandra-{number}"),
        }
    }
}

/// Whether every thread of the process is stopped: the state follows the name in parentheses.
fn has_stopped(pid: u32) -> bool {
    let mut tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.all(|task| {
        let stat = fs::read_to_string(task.unwrap().path().join("stat"));
        // A thread that has ended meanwhile does not run either.
        stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    })
}

/// Runs `command`, which must succeed.
fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        ended.status.success(),
        "{command:?}: {}\n{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// The path of a program in `deploy/stack`.
fn program(name: &str) -> PathBuf {
    let up = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("deploy/stack").join(name));
    up.into_iter()
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("the tests must run in a checkout of the sources"))
}

/// Cargo's target directory, found from the test program: Cargo does not pass it to unit tests.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
