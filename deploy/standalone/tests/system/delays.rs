//! Answers of Cassandra that come late, through a proxy that delays them.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    backends::Backends,
    client::LINES,
    data::{ENDING_AT, generate, joined},
    service::{BOOKEND, Service, eventually, pause, serve},
    stack::Stack,
};

/// A delay that exceeds the deadline of a request to Cassandra, which is 12 s.
pub(crate) const TOO_LATE: Duration = Duration::from_secs(13);

/// The memory that late answers may take.
pub(crate) const MORE_MEMORY: u64 = 64 << 20;

/// A service with the embedded log, and Cassandra behind a proxy that delays what the node sends.
pub(crate) struct Delayed {
    pub(crate) service: Service,
    proxy: Proxy,
    /// The flags of the store.
    flags: Vec<String>,
    data: TempDir,
}

struct Proxy {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    /// The connections accepted so far, and those that have ended.
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Proxy {
    fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            delay_ms: Arc::default(),
            accepted: Arc::default(),
            ended: Arc::default(),
        };
        let (delay_ms, accepted, ended) =
            (Arc::clone(&proxy.delay_ms), Arc::clone(&proxy.accepted), Arc::clone(&proxy.ended));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, node) = (client.unwrap(), TcpStream::connect(node).unwrap());
                accepted.fetch_add(1, Ordering::Relaxed);
                pass(client.try_clone().unwrap(), node.try_clone().unwrap(), || Duration::ZERO);
                let (delay_ms, ended) = (Arc::clone(&delay_ms), Arc::clone(&ended));
                let passing = pass(node, client, move || {
                    Duration::from_millis(delay_ms.load(Ordering::Relaxed))
                });
                std::thread::spawn(move || {
                    passing.join().unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        proxy
    }
}

/// Passes bytes on, in order, each after the delay that was in force when it came.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: impl Fn() -> Duration + Send + 'static,
) -> JoinHandle<()> {
    to.set_nodelay(true).unwrap();
    let (read, written) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if read.send((Instant::now() + delay(), buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in written {
            pause(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    })
}

impl Delayed {
    /// Starts the service. It consumes nothing before the setup.
    pub(crate) fn start(more: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        let proxy = Proxy::before(Stack::shared_plain().cassandra_nodes().parse().unwrap());
        let mut flags = Backends::Cassandra.flags(data.path());
        let nodes = flags.iter().position(|flag| flag == "--cassandra-nodes").unwrap();
        flags[nodes + 1] = proxy.address.to_string();
        // The log lines about the limit of requests in flight.
        let lines = "shared::store::cassandra::driver::limit=debug,info";
        let mut command = serve(data.path(), &["--as-of", ENDING_AT, "--log-level", lines]);
        command.args(&flags).args(more);
        Self { service: Service::begin(command), proxy, flags, data }
    }

    /// Creates the tables, and waits until the service is ready.
    pub(crate) fn set_up(&self) {
        let setup = Command::new(BOOKEND).env_clear().arg("setup").args(&self.flags).output();
        assert!(setup.unwrap().status.success());
        eventually("the service is ready", || {
            (self.service.client().get("/readyz").unwrap().status == 200).then_some(())
        });
    }

    /// Sends the events of `sessions` sessions; returns their number.
    pub(crate) fn post(&self, sessions: u32) -> usize {
        let lines = generate("clean", sessions, 61);
        for batch in lines.chunks(1_000) {
            let reply = self.service.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        lines.len()
    }

    /// Delays each answer that the node sends from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.proxy.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// The connections to the node accepted so far, and those that have ended.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let Proxy { accepted, ended, .. } = &self.proxy;
        (accepted.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
    }

    /// The values to which the limit of requests in flight was lowered.
    pub(crate) fn limits(&self) -> Vec<u64> {
        let limit = |line: &str| {
            let fields = serde_json::from_str::<Value>(line).ok()?["fields"].take();
            let message = fields["message"].as_str()?;
            message.starts_with("Cassandra is overloaded").then(|| fields["limit"].as_u64())?
        };
        self.service.said().lines().filter_map(limit).collect()
    }

    /// Stops the service; fails unless the tables hold exactly what the log says.
    pub(crate) fn verify(self) {
        self.service.stop();
        let mut verify = Command::new(BOOKEND);
        verify.env_clear().args(["verify", "--as-of", ENDING_AT, "--data-dir"]);
        let done = verify.arg(self.data.path()).args(&self.flags).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    }
}

#[test]
fn answers_after_the_deadline_halve_the_limit_and_neither_break_a_connection_nor_lose_a_row() {
    let delayed = Delayed::start(&["--cassandra-max-in-flight", "128"]);
    delayed.set_up();
    let (connections, memory) = (delayed.connections(), delayed.service.peak_memory());
    delayed.delay(TOO_LATE);
    let records = delayed.post(6_000);
    eventually("the limit is halved", || (!delayed.limits().is_empty()).then_some(()));
    // By then, all requests that were in flight together have failed.
    pause(Duration::from_secs(1));
    assert_eq!(delayed.limits(), [64]);
    assert_eq!(delayed.service.client().get("/livez").unwrap().status, 200);
    delayed.delay(Duration::ZERO);
    delayed.service.wait_until_answered(records);
    assert_eq!(delayed.connections(), connections, "a connection broke");
    let peak = delayed.service.peak_memory();
    assert!(peak < memory + MORE_MEMORY, "{} MiB after {} MiB", peak >> 20, memory >> 20);
    assert_eq!(delayed.service.client().get("/readyz").unwrap().status, 200);
    delayed.verify();
}
