//! Deletes the topic and creates it again, 20 times under load, at random moments and with other
//! numbers of partitions; in every third round the service is killed, too. What is answered 200
//! more than 5 s after the topic was created again is found, and no lag is ever negative.

use std::{
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    data::Chance,
    service::{BOOKEND, Service, eventually, pause},
    stack::{Service as Server, Stack},
    topics::delete_topic,
};

const ROUNDS: u32 = 20;
/// What is answered so long after the topic was created must be found.
const SETTLED: Duration = Duration::from_secs(5);
/// The number of events in a batch.
const BATCH: u32 = 50;

/// The load and what was answered.
#[derive(Default)]
struct Load {
    /// The address of the service; it changes with each start.
    service: Mutex<Option<Service>>,
    pausing: AtomicBool,
    ended: AtomicBool,
    sent: AtomicU32,
    /// The sessions that were answered 200, and when.
    answered: Mutex<Vec<(u32, Instant)>>,
    refused: AtomicU32,
    lowest_lag: Mutex<f64>,
}

impl Load {
    /// Sends batches and looks at the lag until the end.
    fn run(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            let client = self.service.lock().unwrap().as_ref().map(Service::client);
            let Some(client) = client.filter(|_| !self.pausing.load(Ordering::Relaxed)) else {
                pause(Duration::from_millis(20));
                continue;
            };
            let first = self.sent.fetch_add(BATCH, Ordering::Relaxed);
            let events: Vec<_> = (first..first + BATCH).map(event).collect();
            let body = serde_json::to_vec(&events).unwrap();
            match client.post("/v1/events", &[], &body) {
                Ok(reply) if reply.status == 200 => {
                    let now = Instant::now();
                    let mut answered = self.answered.lock().unwrap();
                    answered.extend((first..first + BATCH).map(|session| (session, now)));
                }
                _ => {
                    self.refused.fetch_add(BATCH, Ordering::Relaxed);
                    pause(Duration::from_millis(50));
                }
            }
            self.look();
        }
    }

    fn look(&self) {
        let service = self.service.lock().unwrap();
        let Some(reply) = service.as_ref().and_then(|it| it.client().get("/metrics").ok()) else {
            return;
        };
        let text = reply.text();
        let lags = text.lines().filter(|line| line.starts_with("bookend_consumer_lag_records{"));
        let lags = lags.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        let mut lowest = self.lowest_lag.lock().unwrap();
        *lowest = lags.fold(*lowest, f64::min);
    }

    fn with<T>(&self, ask: impl FnOnce(&Service) -> T) -> T {
        ask(self.service.lock().unwrap().as_ref().unwrap())
    }

    /// The sessions answered since `since` that the service does not know.
    fn unknown(&self, since: Instant) -> (usize, usize) {
        let answered = self.answered.lock().unwrap();
        let due: Vec<_> = answered.iter().filter(|(_, at)| *at >= since).collect();
        let client = self.with(Service::client);
        let unknown = due.iter().filter(|(session, _)| {
            client.get(&format!("/v1/users/u{}/sessions/s{session}", session % 97)).unwrap().status
                == 404
        });
        (due.len(), unknown.count())
    }
}

fn event(session: u32) -> Value {
    json!({
        "user_id": format!("u{}", session % 97),
        "session_id": format!("s{session}"),
        "event": "start",
        "ts": shared::clock::Clock::machine().now().to_string(),
        "country": "SK",
    })
}

fn command(word: &str, data: &Path, brokers: &str, more: &[&str]) -> Command {
    let mut command = Command::new(BOOKEND);
    command.env_clear().arg(word).arg("--data-dir").arg(data);
    command.args(["--log", "kafka", "--kafka-brokers", brokers, "--kafka-replication", "1"]);
    command.args(["--kafka-session-timeout", "6s"]).args(more);
    command
}

fn serve(data: &Path, brokers: &str) -> Service {
    let more = ["--listen", "127.0.0.1:0", "--log-format", "json"];
    Service::run(command("serve", data, brokers, &more))
}

fn setup(data: &Path, brokers: &str, partitions: usize) {
    // The brokers may still be deleting the topic.
    eventually("the topic is created", || {
        let partitions = partitions.to_string();
        let mut setup = command("setup", data, brokers, &["--log-partitions", &partitions]);
        let done = setup.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        // A topic that existed is reported as `topic session-events exists`, in all versions.
        (done.status.success() && said.contains("topic session-events,")).then_some(())
    });
}

#[test]
fn a_topic_created_again_under_load_loses_nothing_that_was_answered_later() {
    let stack = Stack::own_only(Server::Kafka, 1, false);
    let brokers = stack.kafka_brokers().to_owned();
    let data = tempfile::tempdir().unwrap();
    let mut chance = Chance::new(20);
    setup(data.path(), &brokers, 4);
    let load = Load { service: Mutex::new(Some(serve(data.path(), &brokers))), ..Load::default() };
    let (mut due, mut unknown, mut slowest) = (0, 0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| load.run());
        for round in 1..=ROUNDS {
            load.pausing.store(false, Ordering::Relaxed);
            pause(Duration::from_millis(500 + chance.below(1_500) as u64));
            delete_topic(&brokers, "session-events");
            pause(Duration::from_millis(chance.below(3_000) as u64));
            let partitions = 1 + chance.below(8);
            setup(data.path(), &brokers, partitions);
            let created = Instant::now();
            eventually("batches are taken again", || {
                let answered = load.answered.lock().unwrap();
                answered.last().is_some_and(|(_, at)| *at > created).then_some(())
            });
            slowest = slowest.max(created.elapsed());
            pause(SETTLED.saturating_sub(created.elapsed()) + Duration::from_secs(1));
            if round % 3 == 0 {
                load.pausing.store(true, Ordering::Relaxed);
                let service = load.service.lock().unwrap().take();
                service.unwrap().kill();
                let service = serve(data.path(), &brokers);
                *load.service.lock().unwrap() = Some(service);
                load.pausing.store(false, Ordering::Relaxed);
                pause(Duration::from_secs(1));
            }
            load.pausing.store(true, Ordering::Relaxed);
            eventually("the lag is 0", || {
                load.with(|service| {
                    let lags = service.metrics().samples("bookend_consumer_lag_records");
                    (!lags.is_empty() && lags.iter().all(|lag| *lag == 0.0)).then_some(())
                })
            });
            // The last poll may still be on its way into the metrics.
            pause(Duration::from_secs(2));
            let (asked, missing) = load.unknown(created + SETTLED);
            println!("round {round}: {partitions} partitions, {asked} due, {missing} unknown");
            (due, unknown) = (due + asked, unknown + missing);
        }
        load.ended.store(true, Ordering::Relaxed);
    });
    let lags = load.with(|service| service.metrics().samples("bookend_consumer_lag_records"));
    let lowest = *load.lowest_lag.lock().unwrap();
    println!(
        "{ROUNDS} rounds: {} events answered 200, {} refused; {due} due, {unknown} unknown; lowest lag {lowest}, lag at the \
         end {}; taken again at most {slowest:?} after the creation",
        load.answered.lock().unwrap().len(),
        load.refused.load(Ordering::Relaxed),
        lags.iter().sum::<f64>(),
    );
    assert_eq!((unknown, lowest, lags.iter().sum::<f64>()), (0, 0.0, 0.0));
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    load.service.lock().unwrap().take().unwrap().stop();
}
