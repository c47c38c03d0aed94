//! Drills on three brokers and three Cassandra nodes. After any node or process is killed or
//! stopped, no acknowledged event is lost, and the service recovers without intervention.

use std::{
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    data::{Chance, ENDING_AT, generate},
    ledger::Ledger,
    reading::instant_of,
    service::{BOOKEND, PATIENCE, Service, eventually, serve},
    stack::{Node, Stack},
};

/// The longest time until a batch that cannot be stored gets its error: the append deadline and a
/// margin.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// The longest time until a query that cannot be answered gets its error: `--query-deadline` and a
/// margin.
const QUERIES_TOLD_WITHIN: Duration = Duration::from_secs(13);

/// The default number of partitions of `bookend setup`.
const PARTITIONS: usize = 6;

/// Three nodes of each service, and the flags that connect to them.
struct Cluster {
    stack: Stack,
    data: TempDir,
    query_deadline: &'static str,
}

impl Cluster {
    fn start(query_deadline: &'static str) -> Self {
        let (stack, data) = (Stack::own(3, false), TempDir::new().unwrap());
        let cluster = Self { stack, data, query_deadline };
        let done = cluster.command("setup").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        cluster
    }

    fn flags(&self) -> Vec<String> {
        let nodes = self.stack.cassandra_nodes().split(',').map(|node| ["--cassandra-nodes", node]);
        let brokers = self.stack.kafka_brokers();
        let settings = [
            ["--log", "kafka"],
            ["--store", "cassandra"],
            ["--as-of", ENDING_AT],
            ["--kafka-brokers", brokers],
        ];
        let quick = [
            ["--kafka-session-timeout", "6s"],
            // By default a consumer notices a change of the topic within a minute.
            ["--kafka-property", "topic.metadata.refresh.interval.ms=1000"],
        ];
        nodes.chain(settings).chain(quick).flatten().map(str::to_owned).collect()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(BOOKEND);
        command.env_clear().arg(name).args(self.flags());
        command
    }

    /// Starts another process of the service in the same consumer group.
    fn serve(&self) -> Service {
        let mut command = serve(self.data.path(), &[]);
        command.args(self.flags()).args(["--query-deadline", self.query_deadline]);
        Service::run(command)
    }

    /// Sets the number of partitions of the topic.
    fn grow(&self, count: usize) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<_> =
            config.set("bootstrap.servers", self.stack.kafka_brokers()).create().unwrap();
        let grown = [NewPartitions::new("session-events", count)];
        let done = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(async { admin.create_partitions(&grown, &AdminOptions::new()).await });
        done.unwrap().remove(0).unwrap();
    }

    /// Fails unless every reply agrees with the log.
    fn verify(&self) {
        let done = self.command("verify").output().unwrap();
        let (said, failed) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{said}{failed}");
    }
}

/// Waits for `count` replies, or for the end of the load.
fn pass(answers: &mpsc::Receiver<()>, count: usize) {
    (0..count).take_while(|_| answers.recv_timeout(PATIENCE).is_ok()).count();
}

#[test]
fn nothing_acknowledged_is_lost_whatever_is_killed_or_stopped_or_joins_and_all_goes_on_by_itself() {
    // Six servers and the tests beside this one may share two processors. Queries for all days and
    // hundreds of countries take half of the default deadline even alone.
    let cluster = Cluster::start("60s");
    let mut lines = generate("clean", 3_000, 41);
    lines.extend(generate("hostile", 2_000, 42));
    Chance::new(43).shuffle(&mut lines);
    let ledger = Ledger::new(&lines, 20, instant_of(ENDING_AT), 44);
    let step = ledger.waiting() / 10;
    let (one, mut two) = (cluster.serve(), cluster.serve());
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let (ledger, client) = (&ledger, one.client());
        scope.spawn(move || {
            while ledger.waiting() > 0 {
                ledger.send(client, &answered);
            }
        });
        pass(&answers, step);
        cluster.stack.kill(Node::Kafka(2));
        pass(&answers, step);
        cluster.stack.start_again(Node::Kafka(2));
        pass(&answers, step);
        cluster.stack.kill(Node::Cassandra(3));
        pass(&answers, step);
        cluster.stack.start_again(Node::Cassandra(3));
        pass(&answers, step);
        two.kill();
        pass(&answers, step);

        // A process that is stopped for longer than its session timeout and then continues is a
        // zombie: it still holds polled records.
        let zombie = cluster.serve();
        pass(&answers, step);
        let before = one.metrics().sum("bookend_consumer_rebalances_total");
        zombie.signal("STOP");
        eventually("the others take over what the stopped one had", || {
            (one.metrics().sum("bookend_consumer_rebalances_total") > before).then_some(())
        });
        zombie.signal("CONT");
        pass(&answers, step);

        // From here on, later events of a user may be in another partition than earlier ones.
        cluster.grow(2 * PARTITIONS);
        pass(&answers, step);
        let joining = cluster.serve();
        pass(&answers, step);
        joining.stop();
        answers.iter().count();
        zombie.stop();
    });
    eventually("every new partition is looked at", || {
        let seen = one.metrics().samples("bookend_consumer_lag_records");
        (seen.len() == 2 * PARTITIONS).then_some(())
    });
    one.wait_until_answered(0);
    ledger.check(one.client());
    one.stop();
    cluster.verify();
}

#[test]
fn without_brokers_a_batch_is_told_503_and_without_a_quorum_the_consumer_waits_and_resumes_by_itself()
 {
    let cluster = Cluster::start("12s");
    let service = cluster.serve();
    let client = service.client();
    let event = |session: &str, kind: &str| {
        json!([{ "user_id": "u", "session_id": session, "event": kind, "ts": "2016-12-01T00:00:00Z", "country": "SK" }])
            .to_string()
    };
    let post = |body: &str| client.post("/v1/events", &[], body.as_bytes()).unwrap();
    assert_eq!(post(&event("before", "start")).status, 200);

    let brokers = [1, 2, 3].map(Node::Kafka);
    brokers.into_iter().for_each(|broker| cluster.stack.kill(broker));
    for _ in 0..2 {
        let begun = Instant::now();
        let reply = post(&event("never", "start"));
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(reply.header("retry-after").is_some());
        assert!(begun.elapsed() < TOLD_WITHIN, "{:?}", begun.elapsed());
    }
    cluster.stack.start_all_again();
    eventually("batches are taken again", || {
        (post(&event("after", "start")).status == 200).then_some(())
    });
    service.wait_until_answered(2);

    cluster.stack.kill(Node::Cassandra(2));
    cluster.stack.kill(Node::Cassandra(3));
    assert_eq!(post(&event("before", "end")).status, 200);
    let metric = |name: &str| service.metrics().sum(name);
    eventually("the store is asked again and again", || {
        (metric("bookend_store_retries_total") >= 20.0).then_some(())
    });
    assert!(metric("bookend_consumer_lag_records") >= 1.0);
    assert_eq!(metric("bookend_dead_letters_total"), 0.0);
    let begun = Instant::now();
    let reply = client.get("/v1/users/u/sessions").unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
    assert!(begun.elapsed() < QUERIES_TOLD_WITHIN, "{:?}", begun.elapsed());
    cluster.stack.start_again(Node::Cassandra(2));
    service.wait_until_answered(3);
    assert_eq!(client.ask("/v1/users/u/sessions/before")["status"], "complete");
    cluster.stack.start_again(Node::Cassandra(3));
    service.stop();
    cluster.verify();
}
