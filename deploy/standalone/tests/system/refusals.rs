//! Cassandra refuses, and the process continues: a proxy before the node answers in its place.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
};

use scylla_proxy::{
    Condition, Node, Proxy, Reaction, RequestOpcode, RequestReaction, RequestRule, RunningProxy,
    ShardAwareness, example_db_errors::invalid,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    backends::Backends,
    data::ENDING_AT,
    service::{BOOKEND, Service, eventually, serve},
    stack::Stack,
};

/// A proxy before the Cassandra node of the shared stack, and the directory of a service behind it.
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
