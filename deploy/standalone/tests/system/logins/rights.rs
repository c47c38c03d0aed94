//! Every role works with the rights that the operations manual gives it, and no others. The test
//! runs the manual's own commands.

use std::{fs, process::Command};

use ingest::log::{
    KafkaLog, Log, NewRecord,
    kafka::{KafkaLogOptions, Mechanism, Security},
};
use serde_json::json;
use shared::{clock::Clock, config::Secret};

use super::{command, configured, said};
use crate::{
    apart::path_of,
    client::Client,
    cql::as_superuser,
    data::project,
    service::{Service, eventually},
    stack::Stack,
};

const SETUP: &str = "bookend-setup";
const ENDPOINT: &str = "bookend-endpoint";
const CONSUMER: &str = "bookend-consumer";
const QUERY: &str = "bookend-query";
const OPERATOR: &str = "bookend-operator";

/// The lines of the manual's commands that begin with one of `words`.
fn commands(words: &[&str]) -> Vec<String> {
    let manual = fs::read_to_string(project().join("deploy/README.md")).unwrap();
    let (_, section) = manual.split_once("\n## Rights in Kafka and Cassandra\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let is_one = |line: &&str| words.iter().any(|word| line.starts_with(word));
    let lines: Vec<_> = section.lines().filter(is_one).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "the manual has no lines of {words:?}");
    lines
}

/// Runs Kafka's `kafka-acls` for each line, with `change` (`--add`, `--remove --force`).
fn acls(stack: &Stack, change: &str, lines: &[String]) {
    let tool = project().join("deploy/stack/tool");
    let allow = format!(
        r#"set -euo pipefail
        allow() {{ "$tool" --dir "$dir" kafka-acls {change} --allow-principal "User:$1" "${{@:2}}"; }}"#
    );
    let script = [&[allow][..], &commands(&["topics=", "groups="]), lines].concat().join("\n");
    let mut bash = Command::new("bash");
    let done = bash.args(["-c", &script]).env("tool", tool).env("dir", stack.dir()).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", said(&done));
}

/// The variables with which a process logs in as `user` on both sides.
fn login(user: &str) -> [(&'static str, &str); 2] {
    [("BOOKEND_KAFKA_USERNAME", user), ("BOOKEND_CASSANDRA_USERNAME", user)]
}

/// Starts one part of the service as its user.
fn start(stack: &Stack, program: &str, args: &[&str], user: &str) -> Service {
    let mut command = Command::new(path_of(program));
    command.env_clear().args(["--listen", "127.0.0.1:0", "--log-format", "json"]).args(args);
    Service::run(configured(command, stack, &login(user)))
}

/// Writes an invalid record to the topic, as a superuser.
fn produce_invalid(stack: &Stack) {
    let options = KafkaLogOptions {
        brokers: stack.kafka_brokers().to_owned(),
        security: Security::SaslTls,
        mechanism: Mechanism::ScramSha512,
        username: Some(stack.setting("BOOKEND_KAFKA_USERNAME").to_owned()),
        password: Some(Secret::new(stack.setting("BOOKEND_KAFKA_PASSWORD"))),
        ca_file: Some(stack.setting("BOOKEND_KAFKA_CA_FILE").into()),
        ..KafkaLogOptions::default()
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = Log::Kafka(KafkaLog::open(options, Clock::machine()).await.unwrap());
        let record = NewRecord { value: b"no event"[..].into(), ..NewRecord::default() };
        log.append(vec![record]).await.unwrap();
        log.close().await;
    });
}

/// Posts one event and returns the status and the text of the reply.
fn post(client: Client, kind: &str) -> (u16, String) {
    let ts = Clock::machine().now().to_string();
    let event = json!([{ "user_id": "u", "session_id": "s", "event": kind, "ts": ts }]);
    let reply = client.post("/v1/events", &[], event.to_string().as_bytes()).unwrap();
    (reply.status, reply.text())
}

#[test]
fn every_role_works_with_the_rights_of_the_manual_and_names_one_that_is_missing() {
    let stack = Stack::own_with_users(&[SETUP, ENDPOINT, CONSUMER, QUERY, OPERATOR]);
    let run = |name: &str, user: &str| command(name, &stack, &login(user)).output().unwrap();
    let refused = said(&run("setup", SETUP));
    assert!(refused.contains("kafka") && refused.contains("authorization"), "{refused}");
    acls(&stack, "--add", &commands(&["allow "]));
    let grants = commands(&["GRANT ", "REVOKE "]);
    let (first, others) = grants.split_at(2);
    as_superuser(&stack, first);
    // The nodes remember for two seconds who may do what.
    let made = eventually("setup may create", || {
        Some(run("setup", SETUP)).filter(|made| made.status.success())
    });
    as_superuser(&stack, others);
    // With the rights on what it has created.
    let again = run("setup", SETUP);
    assert!(again.status.success(), "{}", said(&again));
    for done in [made, again] {
        let text = [said(&done), String::from_utf8_lossy(&done.stdout).into_owned()].concat();
        assert!(!text.contains("not checked") && !text.contains("uthoriz"), "{text}");
    }

    let endpoint = start(&stack, "ingest", &["--role", "http"], ENDPOINT);
    let consumer = start(&stack, "ingest", &["--role", "consumer"], CONSUMER);
    let query = start(&stack, "query-api", &[], QUERY);
    for kind in ["start", "end"] {
        let (status, text) = post(endpoint.client(), kind);
        assert_eq!(status, 200, "{text}");
    }
    produce_invalid(&stack);
    consumer.wait_until_answered(3);
    assert_eq!(consumer.metrics().sum("bookend_dead_letters_total"), 1.0);
    assert_eq!(query.client().ask("/v1/users/u/sessions/s")["status"], "complete");
    for name in ["verify", "redrive"] {
        let done = run(name, OPERATOR);
        assert!(done.status.success(), "{name}: {}", said(&done));
    }
    for service in [&endpoint, &consumer, &query] {
        let said = service.said().to_lowercase();
        assert!(!said.contains("uthoriz") && !said.contains("may not"), "{said}");
    }
    one_right_less(&stack, &endpoint, &consumer);
    [endpoint, consumer, query].into_iter().for_each(Service::stop);
}

/// One missing right on each side.
fn one_right_less(stack: &Stack, endpoint: &Service, consumer: &Service) {
    let grants = commands(&["GRANT MODIFY"]);
    let revoke = |grant: &String| grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ");
    as_superuser(stack, &grants.iter().map(revoke).collect::<Vec<_>>());
    let cause = eventually("the permission is named", || {
        // Only a write shows that it is missing.
        assert_eq!(post(endpoint.client(), "start").0, 200);
        let reply = consumer.client().get("/readyz").unwrap();
        (reply.status == 503).then(|| reply.text())
    });
    assert!(cause.contains("no MODIFY permission") && cause.contains("grant"), "{cause}");

    let write = commands(&["allow bookend-endpoint --operation Write"]);
    acls(stack, "--remove --force", &write);
    let (status, text) = eventually("the brokers refuse", || {
        Some(post(endpoint.client(), "end")).filter(|(status, _)| *status != 200)
    });
    assert!(status == 503 && text.contains("log_refused"), "{status}: {text}");
    let refused = r#"bookend_log_refusals_total{cause="not_authorized"}"#;
    assert!(endpoint.metrics().sum(refused) > 0.0);
    let said = endpoint.said();
    assert!(said.contains("the user may not write to it; allow it the operations Write"), "{said}");
}
