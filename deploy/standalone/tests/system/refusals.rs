//! Cassandra refuses, and the process continues: a proxy before the node answers in its place.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
    time::{Duration, Instant},
};

use scylla_proxy::{
    Condition, Node, Proxy, Reaction, RequestOpcode, RequestReaction, RequestRule, RunningProxy,
    ShardAwareness, example_db_errors::invalid,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    apart::path_of,
    backends::Backends,
    cql::as_superuser,
    data::ENDING_AT,
    service::{BOOKEND, Service, eventually, pause, serve},
    stack::{self, Stack},
};

/// How many range queries are answered at a time.
const RANGES: usize = 16;

/// A proxy in front of the Cassandra node of the shared stack, and the directory of a service that
/// uses it.
struct Proxied {
    runtime: Runtime,
    proxy: RunningProxy,
    address: SocketAddr,
    data: TempDir,
}

impl Proxied {
    fn start() -> Self {
        let real = Stack::shared_plain().cassandra_nodes().parse().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let node = Node::builder()
            .real_address(real)
            .proxy_address(address)
            .shard_awareness(ShardAwareness::Unaware)
            .build();
        let runtime = Runtime::new().unwrap();
        let proxy = runtime.block_on(Proxy::new([node]).run()).unwrap();
        Self { runtime, proxy, address, data: TempDir::new().unwrap() }
    }

    /// The flags of a keyspace of this test, behind the proxy.
    fn flags(&self) -> Vec<String> {
        let mut flags = Backends::Cassandra.flags(self.data.path());
        let nodes = flags.iter().position(|flag| flag == "--cassandra-nodes").unwrap();
        flags[nodes + 1] = self.address.to_string();
        flags
    }

    fn setup(&self) {
        let mut setup = Command::new(BOOKEND);
        let done = setup.env_clear().arg("setup").args(self.flags()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn serve(&self) -> Command {
        let mut command = serve(self.data.path(), &["--as-of", ENDING_AT]);
        command.args(self.flags());
        command
    }

    fn rules(&mut self, rules: Vec<RequestRule>) {
        self.proxy.running_nodes[0].change_request_rules(Some(rules));
    }

    fn stop(self) {
        // The proxy reports the connections that the test dropped.
        drop(self.runtime.block_on(self.proxy.finish()));
    }
}

fn batches() -> Condition {
    Condition::RequestOpcode(RequestOpcode::Batch)
}

fn unconfigured() -> RequestReaction {
    let reason = "unconfigured table facts".to_owned();
    RequestReaction::forge_with_error_and_message(invalid(), Some(reason))
}

/// Appends a start of the session `session` of the user `u`.
fn post(service: &Service, session: &str) {
    let ts = "2016-12-01T00:00:00Z";
    let event = json!([{ "user_id": "u", "session_id": session, "event": "start", "ts": ts }]);
    let reply = service.client().post("/v1/events", &[], event.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn status(service: &Service, path: &str) -> (u16, String) {
    let reply = service.client().get(path).unwrap();
    (reply.status, reply.text())
}

#[test]
fn one_refused_batch_is_a_warning_and_is_tried_again() {
    let mut proxied = Proxied::start();
    proxied.setup();
    let mut service = Service::run(proxied.serve());
    let once = batches().and(Condition::TrueForLimitedTimes(1));
    proxied.rules(vec![RequestRule(once, unconfigured())]);
    post(&service, "s");
    service.wait_until_answered(1);
    assert_eq!(service.client().ask("/v1/users/u/sessions/s")["status"], "open");
    assert!(service.is_running());
    let said = service.said();
    let warned: Vec<_> = said.lines().filter(|line| line.contains("unconfigured table")).collect();
    assert!(warned.len() == 1 && warned[0].contains("WARN"), "{said}");
    assert_eq!(status(&service, "/readyz").0, 200);
    service.stop();
    proxied.stop();
}

#[test]
fn while_every_batch_is_refused_the_process_is_alive_and_says_why_it_is_not_ready() {
    let mut proxied = Proxied::start();
    proxied.setup();
    let service = Service::run(proxied.serve());
    let (fault, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let fault = unconfigured().with_feedback_when_performed(fault);
    proxied.rules(vec![RequestRule(batches(), fault)]);
    post(&service, "s");
    let (code, cause) = eventually("it is not ready", || {
        Some(status(&service, "/readyz")).filter(|(code, _)| *code != 200)
    });
    assert_eq!(code, 503);
    assert!(cause.contains("unconfigured table facts; run `bookend setup`"), "{cause}");
    for _ in 0..5 {
        refused.blocking_recv().unwrap();
    }
    assert_eq!(status(&service, "/livez").0, 200);
    assert!(service.metrics().0.contains(r#"bookend_store_retries_total{cause="refused"}"#));
    proxied.rules(Vec::new());
    service.wait_until_answered(1);
    eventually("it is ready again", || (status(&service, "/readyz").0 == 200).then_some(()));
    service.stop();
    proxied.stop();
}

/// A node that is not up yet, then has no tables: as in a data centre that starts as a whole.
#[test]
fn what_starts_before_cassandra_and_before_setup_waits_for_both() {
    let cassandra = Stack::own_only(stack::Service::Cassandra, 1, false);
    let data = TempDir::new().unwrap();
    let kafka = Backends::Kafka.flags(data.path());
    let kafka: Vec<_> = kafka.chunks(2).filter(|flag| flag[0] != "--log").flatten().collect();
    let nodes = cassandra.cassandra_nodes();
    let settings = ["--cassandra-nodes", nodes, "--cassandra-replication", "1"];
    let setup = |more: &[&str]| {
        let mut setup = Command::new(BOOKEND);
        setup.env_clear().arg("setup").args(&kafka).args(settings).args(more).output().unwrap()
    };
    assert!(setup(&["--log", "kafka"]).status.success());
    cassandra.kill(stack::Node::Cassandra(1));
    let unreachable = setup(&["--store", "cassandra"]);
    assert_eq!(unreachable.status.code(), Some(1), "a command does not wait");

    let program = |name: &str, more: &[&str]| {
        let mut command = Command::new(path_of(name));
        let common = ["--listen", "127.0.0.1:0", "--log-format", "json", "--as-of", ENDING_AT];
        command.env_clear().args(common).args(settings).args(more);
        command
    };
    let mut consumer = program("ingest", &["--role", "consumer"]);
    consumer.args(&kafka);
    let mut one = serve(data.path(), &["--as-of", ENDING_AT, "--store", "cassandra"]);
    one.args(settings);
    let mut services = [one, consumer, program("query-api", &[])].map(Service::begin);
    for service in &mut services {
        let cause = eventually("the cause is known", || {
            let (code, cause) = status(service, "/readyz");
            assert_eq!(code, 503, "{cause}");
            cause.contains("cannot be reached at").then_some(cause)
        });
        assert!(cause.contains(nodes), "{cause}");
        assert_eq!(status(service, "/livez").0, 200);
        assert!(service.is_running());
    }
    let [one, _, queries] = &services;
    for service in [one, queries] {
        let reply = service.client().get("/v1/users/u/sessions/s").unwrap();
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, Some("1")),
            "{}",
            reply.text()
        );
    }
    post(one, "s");

    cassandra.start_again(stack::Node::Cassandra(1));
    for service in &services {
        eventually("the tables are missing", || {
            status(service, "/readyz").1.contains("run `bookend setup`").then_some(())
        });
    }
    let made = setup(&["--store", "cassandra"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for service in &services {
        eventually("it is ready", || (status(service, "/readyz").0 == 200).then_some(()));
    }
    one.wait_until_answered(1);
    assert_eq!(queries.client().ask("/v1/users/u/sessions/s")["status"], "open");
    services.into_iter().for_each(Service::stop);
}

#[test]
fn a_ca_file_that_is_missing_and_settings_that_cannot_be_right_are_reported_together() {
    let wrong =
        ["--cassandra-tls", "--cassandra-ca-file=/nowhere/ca.pem", "--cassandra-nodes=host:port"];
    for (program, role) in [("bookend", "serve"), ("ingest", "--role=consumer"), ("query-api", "")]
    {
        let mut command = Command::new(path_of(program));
        command.env_clear().args(Some(role).filter(|role| !role.is_empty())).args(wrong);
        if program == "bookend" {
            command.args(["--store", "cassandra"]);
        }
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(64), "{program}: {said}");
        assert!(
            said.contains("/nowhere/ca.pem") && said.contains("host:port"),
            "{program}: {said}"
        );
    }
}

#[test]
fn a_question_that_the_store_does_not_answer_is_a_503_by_its_deadline() {
    let mut proxied = Proxied::start();
    proxied.setup();
    let mut command = proxied.serve();
    command.args(["--query-deadline", "3s"]);
    let service = Service::run(command);
    let reads = Condition::RequestOpcode(RequestOpcode::Execute);
    proxied.rules(vec![RequestRule(reads, RequestReaction::delay(Duration::from_secs(60)))]);
    for path in ["/v1/users/u/sessions", "/v1/session-starts?days=1", "/user/last-events?days=1"] {
        let begun = Instant::now();
        let reply = service.client().get(path).unwrap();
        let (took, text) = (begun.elapsed(), reply.text());
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{path}: {text}");
        assert!(text.contains("did not answer within 3s"), "{path}: {text}");
        // A later one would come from the timeout of the request to Cassandra.
        assert!((2..6).contains(&took.as_secs()), "{path}: {took:?}");
    }
    // The wait for a turn counts, too: the others have all turns for another 2.5 s.
    let (client, path) = (service.client(), "/v1/session-starts?days=1");
    std::thread::scope(|scope| {
        for _ in 0..RANGES {
            scope.spawn(|| client.get(path).unwrap());
        }
        pause(Duration::from_millis(500));
        let begun = Instant::now();
        let reply = client.get(path).unwrap();
        let took = begun.elapsed();
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
        assert!(took < Duration::from_millis(4_500), "{took:?}: {}", reply.text());
    });
    proxied.rules(Vec::new());
    service.stop();
    proxied.stop();
}

#[test]
fn a_guardrail_that_forbids_every_write_is_named_by_setup_and_by_readyz() {
    let stack = Stack::own_cassandra_with("user_timestamps_enabled: false");
    let data = TempDir::new().unwrap();
    let as_user = |mut command: Command, login: Option<(&str, &str)>| {
        command
            .envs(stack.settings())
            .envs([("BOOKEND_STORE", "cassandra"), ("BOOKEND_CASSANDRA_REPLICATION", "1")]);
        if let Some((name, password)) = login {
            command.env("BOOKEND_CASSANDRA_USERNAME", name);
            command.env("BOOKEND_CASSANDRA_PASSWORD", password);
        }
        command
    };
    let setup = |login| {
        let mut command = Command::new(BOOKEND);
        command.env_clear().arg("setup");
        as_user(command, login).output().unwrap()
    };
    // Superusers are exempt, but the services need not run as one.
    let refused = setup(None);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("user_timestamps_enabled is false and must be true"), "{said}");

    as_superuser(
        &stack,
        &[
            "CREATE ROLE ordinary WITH LOGIN = true AND PASSWORD = 'secret'",
            "GRANT ALL PERMISSIONS ON KEYSPACE bookend TO ordinary",
        ],
    );
    let ordinary = Some(("ordinary", "secret"));
    let refused = setup(ordinary);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("user_timestamps_enabled"), "{said}");

    let command = serve(data.path(), &["--as-of", ENDING_AT]);
    let mut service = Service::begin(as_user(command, ordinary));
    post(&service, "s");
    let cause = eventually("the setting is named", || {
        let (code, cause) = status(&service, "/readyz");
        assert_eq!(code, 503, "{cause}");
        cause.contains("user_timestamps_enabled in cassandra.yaml").then_some(cause)
    });
    assert!(cause.contains("refuses requests"), "{cause}");
    assert_eq!(status(&service, "/livez").0, 200);
    assert!(service.is_running());
    service.stop();
}
