//! One user has half of all events: the partitions without that user stay as fresh as when all
//! users are alike.
//!
//! The age of a partition is that of its oldest record without a committed offset, by the append
//! time of the record at the committed offset. A record is answered at most 200 ms before its
//! offset is committed, so the age is an upper bound.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, DefaultConsumerContext},
};
use shared::clock::Clock;

use crate::{
    apart::program,
    client::{Client, LINES},
    command_line::said,
    service::{BOOKEND, PATIENCE, Service, eventually, pause},
    stack::Stack,
};

const PARTITIONS: i32 = 6;
/// Events per second.
const RATE: u64 = 5_000;
/// Events in a batch: the starts of sessions, and in the next batch their ends.
const BATCH: u64 = 250;
/// Clients, each with one request at a time.
const CLIENTS: usize = 8;
/// The number of ordinary users.
const USERS: u64 = 10_000;
/// The time until the servers are warm and the partitions are assigned. It is not measured.
const WARMING: Duration = Duration::from_secs(60);
const MEASURED: Duration = Duration::from_secs(300);
/// The interval between two samples of the committed offsets.
const INTERVAL: Duration = Duration::from_millis(250);

/// The highest age of the other partitions in seconds.
const OLDEST: f64 = 5.0;
/// The same, in parts of the highest age in an even run.
const OF_EVEN: f64 = 2.0;

/// Whose events are posted.
#[derive(Clone, Copy)]
enum Load {
    /// All users are alike.
    Even,
    /// Every second session is of one user.
    Hot,
}

/// A topic, and a group and a keyspace of the same name.
struct Names {
    brokers: String,
    topic: &'static str,
    flags: Vec<String>,
}

/// The records of a topic and how far they were committed.
struct Watched {
    /// The append times of the records of each partition in milliseconds.
    appended: Vec<Vec<i64>>,
    /// The committed offsets of all partitions at one time.
    samples: Vec<(i64, Vec<usize>)>,
}

/// Ages in seconds.
struct Ages {
    median: f64,
    p99: f64,
    highest: f64,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Hot => "hot",
        }
    }

    fn user(self, session: u64) -> String {
        match self {
            Self::Hot if session.is_multiple_of(2) => "hot".to_owned(),
            Self::Hot | Self::Even => format!("u{}", (scattered(session) >> 32) % USERS),
        }
    }

    /// The events of a batch, which is due at `ts`.
    fn batch(self, number: u64, ts: i64) -> Vec<u8> {
        let kind = if number.is_multiple_of(2) { "start" } else { "end" };
        let first = number / 2 * BATCH;
        let event = |session: u64| {
            let (user, id, country) = (self.user(session), scattered(session), session % 246);
            format!(
                r#"{{"user_id":"{user}","session_id":"{id:016x}","event":"{kind}","ts":{ts},"country":"C{country}"}}"#
            )
        };
        (first..first + BATCH).map(event).collect::<Vec<_>>().join("\n").into_bytes()
    }

    /// Posts batches at a fixed pace, and returns the number of events per second.
    fn post(self, client: Client, batches: u64) -> f64 {
        let (next, begun, now) = (AtomicU64::new(0), Instant::now(), Clock::machine().now());
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= batches {
                    return;
                }
                let due = Duration::from_millis(number * BATCH * 1_000 / RATE);
                pause(due.saturating_sub(begun.elapsed()));
                let body = self.batch(number, now.millis() + due.as_millis() as i64);
                let reply = client.post("/v1/events", &[LINES], &body).unwrap();
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
        };
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(work);
            }
        });
        (batches * BATCH) as f64 / begun.elapsed().as_secs_f64()
    }
}

/// A number without an order in the numbers before it.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Names {
    fn new(stack: &Stack, topic: &'static str) -> Self {
        let flags = [
            ["--log", "kafka"],
            ["--log-partitions", &PARTITIONS.to_string()],
            ["--store", "cassandra"],
            ["--kafka-brokers", stack.kafka_brokers()],
            ["--kafka-topic", topic],
            ["--kafka-group", topic],
            ["--kafka-replication", "1"],
            ["--cassandra-nodes", stack.cassandra_nodes()],
            ["--cassandra-keyspace", topic],
            ["--cassandra-replication", "1"],
        ];
        let flags: Vec<_> = flags.into_iter().flatten().map(str::to_owned).collect();
        let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        Self { brokers: stack.kafka_brokers().to_owned(), topic, flags }
    }

    fn ingest(&self, role: &str) -> Service {
        let of = ["--kafka-", "--cassandra-"];
        Service::run(program("ingest", &self.flags, &of, &["--role", role]))
    }

    fn client(&self) -> BaseConsumer<DefaultConsumerContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", self.topic);
        config.set("enable.auto.commit", "false").create().unwrap()
    }

    /// All partitions, each at `offset`.
    fn partitions(&self, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(self.topic, partition, offset).unwrap();
        }
        list
    }

    /// Reads the append times of `records` records, also while they are appended.
    fn append_times(&self, records: u64) -> Vec<Vec<i64>> {
        let (client, mut appended) = (self.client(), vec![Vec::new(); PARTITIONS as usize]);
        client.assign(&self.partitions(Offset::Beginning)).unwrap();
        for _ in 0..records {
            let record = client.poll(PATIENCE).expect("no record came").unwrap();
            let times = &mut appended[record.partition() as usize];
            assert_eq!(record.offset(), times.len() as i64);
            times.push(record.timestamp().to_millis().unwrap());
        }
        appended
    }

    /// Samples the committed offsets while records are measured.
    fn samples(&self) -> Vec<(i64, Vec<usize>)> {
        let (client, begun, mut samples) = (self.client(), Instant::now(), Vec::new());
        pause(WARMING);
        while begun.elapsed() < WARMING + MEASURED {
            pause(INTERVAL);
            let found = client.committed_offsets(self.partitions(Offset::Invalid), PATIENCE);
            let found = found.unwrap();
            let found = found.elements_for_topic(self.topic);
            // Nothing is committed yet in a partition without an offset.
            let offsets = found.iter().map(|it| it.offset().to_raw().unwrap_or(0).max(0) as usize);
            samples.push((Clock::machine().now().millis(), offsets.collect()));
        }
        samples
    }
}

impl Watched {
    /// The partition with the most records.
    fn busiest(&self) -> usize {
        (0..self.appended.len()).max_by_key(|partition| self.appended[*partition].len()).unwrap()
    }

    /// In each sample the highest age of the partitions that `counts`.
    fn ages(&self, counts: impl Fn(usize) -> bool) -> Ages {
        let age = |now: i64, partition: usize, committed: usize| {
            let oldest = self.appended[partition].get(committed).filter(|oldest| **oldest < now);
            oldest.map_or(0, |oldest| now - oldest)
        };
        let highest = |(now, committed): &(i64, Vec<usize>)| {
            let committed =
                committed.iter().enumerate().filter(|(partition, _)| counts(*partition));
            committed.map(|(partition, offset)| age(*now, partition, *offset)).max().unwrap()
        };
        let mut ages: Vec<_> = self.samples.iter().map(highest).collect();
        ages.sort_unstable();
        let at = |part: f64| ages[((ages.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
        Ages { median: at(0.5), p99: at(0.99), highest: at(1.0) }
    }

    /// The number of records of a partition that were not committed in the last sample.
    fn backlog(&self, partition: usize) -> usize {
        let (now, committed) = self.samples.last().unwrap();
        let appended = self.appended[partition].partition_point(|appended| appended <= now);
        appended.saturating_sub(committed[partition])
    }
}

impl std::fmt::Display for Ages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, p99, highest } = self;
        write!(f, "median {median:.2} s, p99 {p99:.2} s, highest {highest:.2} s")
    }
}

/// Posts the load, and returns the ages of the partitions; without the busiest one if one user has
/// half of the events.
fn run(stack: &Stack, load: Load) -> Ages {
    let names = Names::new(stack, load.name());
    let (endpoint, consumers) =
        (names.ingest("http"), ["consumer"; 2].map(|role| names.ingest(role)));
    eventually("the second consumer has partitions", || {
        (consumers[1].metrics().sum("bookend_consumer_rebalances_total") > 0.0).then_some(())
    });
    let batches = (WARMING + MEASURED).as_secs() * RATE / BATCH;
    let (rate, watched) = thread::scope(|scope| {
        let appended = scope.spawn(|| names.append_times(batches * BATCH));
        let samples = scope.spawn(|| names.samples());
        let rate = load.post(endpoint.client(), batches);
        (rate, Watched { appended: appended.join().unwrap(), samples: samples.join().unwrap() })
    });
    let busiest = watched.busiest();
    let others = watched.ages(|partition| matches!(load, Load::Even) || partition != busiest);
    println!("{}: {rate:.0} events/s", load.name());
    println!("  age of the oldest record of all other partitions: {others}");
    println!(
        "  of the partition with the most records ({} of {}): {}; {} left at the end",
        watched.appended[busiest].len(),
        batches * BATCH,
        watched.ages(|partition| partition == busiest),
        watched.backlog(busiest)
    );
    let handled =
        || consumers.each_ref().map(|one| one.metrics().sum("bookend_consumer_records_total"));
    eventually("every record is answered", || {
        (handled().iter().sum::<f64>() >= (batches * BATCH) as f64).then_some(())
    });
    println!("  records that each consumer handled: {:?}", handled());
    assert!(handled().iter().all(|records| *records > 0.0), "one did all the work");
    assert!(rate > 0.98 * RATE as f64, "{rate:.0} events/s");
    consumers.into_iter().chain([endpoint]).for_each(Service::stop);
    others
}

#[test]
fn a_user_with_half_of_all_events_delays_no_other_partition() {
    let stack = Stack::own_for_measurements();
    let (even, hot) = (run(&stack, Load::Even), run(&stack, Load::Hot));
    assert!(hot.highest <= OLDEST, "{hot}");
    assert!(hot.highest <= OF_EVEN * even.highest, "{hot}; with all users alike {even}");
}
