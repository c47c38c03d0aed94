//! The program as a process: started, polled until it is ready, and stopped in several ways.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::client::Client;

/// The path of the program. In drills it may be another one; see `deploy/drills --help`.
pub(crate) const BOOKEND: &str = match option_env!("BOOKEND_DRILL_PROGRAM") {
    Some(program) if cfg!(feature = "drills") => program,
    _ => env!("CARGO_BIN_EXE_bookend"),
};

/// The longest time of a start, an exit or a reply, on a machine that also builds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running service. Dropping it kills it; a failed test prints its standard error.
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

/// The samples of `/metrics` at one time.
pub(crate) struct Metrics(pub(crate) String);

/// The command `bookend serve` over `data` with the flags `more`, on a free port, in an empty
/// environment.
pub(crate) fn serve(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--data-dir",
    ]);
    command.arg(data).args(more);
    command
}

/// Makes a key with `rights` in `file`, which is created if it does not exist.
pub(crate) fn new_key(file: &Path, id: &str, rights: &str) -> String {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["key", "new", "--id", id, "--rights", rights, "--keys"]);
    let done = command.arg(file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Calls `look` until it returns a value.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "this did not come about within {PATIENCE:?}: {what}");
        pause(Duration::from_millis(10));
    }
}

/// Pauses: the pace of a client, or until a random moment. To wait for a condition, use
/// [`eventually`].
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

impl Service {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::run(serve(data, more))
    }

    /// Starts `command`, a service, and waits until it is ready.
    pub(crate) fn run(command: Command) -> Self {
        let service = Self::begin(command);
        eventually("the service is ready", || {
            let reply = service.client().get("/readyz").ok()?;
            (reply.status == 200).then_some(())
        });
        service
    }

    /// Starts `command` and waits for the log line with its address, as a script does.
    pub(crate) fn begin(mut command: Command) -> Self {
        // No balancer has to notice that a service stops, unless a test sets the flag.
        command.env("BOOKEND_DRAIN_WINDOW", "0s");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let (lines, saying) =
            (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = address(&line) {
                    tell.send(address).ok();
                }
                let mut said = saying.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        match told.recv_timeout(PATIENCE) {
            Ok(address) => Self { child, address, said },
            Err(_) => {
                child.kill().ok();
                let status = child.wait().unwrap();
                panic!("it does not serve ({status}): {}", said.lock().unwrap());
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client(self.address)
    }

    /// The standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    /// Sends SIGTERM and expects status 0.
    pub(crate) fn stop(mut self) {
        self.tell_to_stop();
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.said());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics(self.client().get("/metrics").unwrap().text())
    }

    /// Waits until `records` records since the start, and all earlier ones in the log, are
    /// processed.
    pub(crate) fn wait_until_answered(&self, records: usize) {
        eventually("every record is answered", || {
            let metrics = self.metrics();
            let behind = metrics.samples("bookend_consumer_lag_records");
            let handled = metrics.sum("bookend_consumer_records_total");
            // Right after a start, the lag is not known yet.
            let done = !behind.is_empty() && behind.iter().sum::<f64>() == 0.0;
            (done && handled >= records as f64).then_some(())
        });
    }

    /// The peak memory of the process in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

/// The address in the log line `serving`.
fn address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    (fields["message"] == "serving").then(|| fields["address"].as_str()?.parse().ok())?
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the service said:\n{}---", self.said());
        }
    }
}

impl Metrics {
    /// The samples of the metric `name` with any labels.
    pub(crate) fn samples(&self, name: &str) -> Vec<f64> {
        let sample = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let value = rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next())??;
            value.parse().ok()
        };
        self.0.lines().filter_map(sample).collect()
    }

    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples(name).iter().sum()
    }
}
