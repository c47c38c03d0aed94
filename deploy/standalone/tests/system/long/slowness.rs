//! Delays every answer of Cassandra by 8 s for a minute while a backlog is consumed. No connection
//! breaks, the service stays ready, and afterwards it is soon as fast as before.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    backends::Backends,
    client::LINES,
    data::{ENDING_AT, generate, joined},
    service::{BOOKEND, Service, pause, serve},
    stack::Stack,
};

const DELAY: Duration = Duration::from_secs(8);
const SLOW: Duration = Duration::from_secs(60);
/// The span over which a rate is measured: several micro-batches.
const SPAN: Duration = Duration::from_secs(20);
/// The time after which the rate must be the old one.
const RECOVERY: Duration = Duration::from_secs(10);
/// Each has a start and an end.
const SESSIONS: u32 = 250_000;

/// A proxy that delays what the server sends.
struct Slow {
    address: SocketAddr,
    delay_ms: Arc<AtomicUsize>,
    /// The connections accepted so far, and those that have ended.
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Slow {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self {
            address,
            delay_ms: Arc::default(),
            accepted: Arc::default(),
            ended: Arc::default(),
        };
        let (delay, accepted, ended) =
            (Arc::clone(&proxy.delay_ms), Arc::clone(&proxy.accepted), Arc::clone(&proxy.ended));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                accepted.fetch_add(1, Ordering::Relaxed);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), || Duration::ZERO);
                let (delay, ended) = (Arc::clone(&delay), Arc::clone(&ended));
                let passing = pass(server, client, move || {
                    Duration::from_millis(delay.load(Ordering::Relaxed) as u64)
                });
                std::thread::spawn(move || {
                    passing.join().unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        proxy
    }

    fn delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis() as usize, Ordering::Relaxed);
    }

    fn connections(&self) -> (usize, usize) {
        (self.accepted.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }
}

/// Passes bytes on, in order, each after the delay that was in force when it came.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: impl Fn() -> Duration + Send + 'static,
) -> std::thread::JoinHandle<()> {
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

fn handled(service: &Service) -> f64 {
    service.metrics().sum("bookend_consumer_records_total")
}

/// Records per second, for a while.
fn rate(service: &Service) -> f64 {
    let (begun, before) = (Instant::now(), handled(service));
    pause(SPAN);
    (handled(service) - before) / begun.elapsed().as_secs_f64()
}

#[test]
fn a_minute_of_slow_answers_breaks_nothing() {
    let data = TempDir::new().unwrap();
    let proxy = Slow::before(Stack::shared_plain().cassandra_nodes().parse().unwrap());
    let mut flags = Backends::Cassandra.flags(data.path());
    let nodes = flags.iter().position(|flag| flag == "--cassandra-nodes").unwrap();
    flags[nodes + 1] = proxy.address.to_string();
    let service = Service::begin({
        let mut command = serve(data.path(), &["--as-of", ENDING_AT]);
        command.args(&flags);
        command
    });
    // Without tables, nothing is consumed yet.
    for batch in generate("clean", SESSIONS, 61).chunks(1_000) {
        let reply = service.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let mut setup = Command::new(BOOKEND);
    assert!(setup.env_clear().arg("setup").args(&flags).status().unwrap().success());
    crate::service::eventually("records are handled", || (handled(&service) > 0.0).then_some(()));

    let before = rate(&service);
    let connections = proxy.connections();
    proxy.delay(DELAY);
    let (begun, slow) = (Instant::now(), handled(&service));
    while begun.elapsed() < SLOW {
        let ready = service.client().get("/readyz").unwrap();
        assert_eq!(ready.status, 200, "after {:?}: {}", begun.elapsed(), ready.text());
        pause(Duration::from_millis(500));
    }
    let slow = (handled(&service) - slow) / begun.elapsed().as_secs_f64();
    proxy.delay(Duration::ZERO);
    pause(RECOVERY);
    let after = rate(&service);
    // The rate also falls as the tables grow, so it is compared with a later one, too.
    pause(RECOVERY);
    let later = rate(&service);
    let lag = service.metrics().sum("bookend_consumer_lag_records");
    println!(
        "records/s before {before:.0}, slow {slow:.0}, after {after:.0}, later {later:.0}; \
         {lag} are left"
    );
    println!("connections before {connections:?}, after {:?}", proxy.connections());
    assert!(lag > 0.0, "the backlog was too short to measure");
    assert_eq!(proxy.connections(), connections, "a connection broke");
    assert!(after >= 0.9 * before.min(later), "{after} after {before}, {later} later");
    service.stop();
}
