//! The service on several machines: an endpoint, two consumers and a query service as processes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    backends::Backends,
    client::LINES,
    data::{ENDING_AT, generate, joined},
    model::Model,
    questions::compare,
    reading::{events, instant_of},
    service::{BOOKEND, Service, eventually},
};

/// The path of the program `name`, which a build of the workspace puts beside `bookend`.
pub(crate) fn path_of(name: &str) -> PathBuf {
    let path = Path::new(BOOKEND).with_file_name(name);
    assert!(path.exists(), "{} is missing: `cargo build --workspace` makes it", path.display());
    path
}

/// The command of the program `name`, with those of `flags` that start with one of `of`.
pub(crate) fn program(name: &str, flags: &[String], of: &[&str], more: &[&str]) -> Command {
    let mut command = Command::new(path_of(name));
    command.env_clear().args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let theirs = flags.chunks(2).filter(|flag| of.iter().any(|prefix| flag[0].starts_with(prefix)));
    command.args(theirs.flatten()).args(more);
    command
}

#[test]
fn an_endpoint_two_consumers_and_a_query_service_answer_as_one_process_would() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ingest = |role: &str| {
        let more = ["--as-of", ENDING_AT, "--role", role];
        Service::run(program("ingest", &flags, &["--kafka-", "--cassandra-"], &more))
    };
    let endpoint = ingest("http");
    let consumers = [ingest("consumer"), ingest("consumer")];
    eventually("the partitions are dealt out among both", || {
        (consumers[1].metrics().sum("bookend_consumer_rebalances_total") > 0.0).then_some(())
    });
    let as_of = ["--as-of", ENDING_AT];
    let query = Service::run(program("query-api", &flags, &["--cassandra-"], &as_of));

    let lines = generate("hostile", 1_500, 51);
    let events = events(&lines, instant_of(ENDING_AT));
    let mut accepted = 0;
    for batch in lines.chunks(200) {
        let reply = endpoint.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
        accepted += usize::try_from(reply.json()["accepted"].as_u64().unwrap()).unwrap();
    }
    assert_eq!(accepted, events.len());
    eventually("both consumers together have handled all of it", || {
        let handled =
            consumers.each_ref().map(|one| one.metrics().sum("bookend_consumer_records_total"));
        let behind =
            consumers.each_ref().map(|one| one.metrics().sum("bookend_consumer_lag_records"));
        (handled.iter().sum::<f64>() >= accepted as f64 && behind.iter().sum::<f64>() == 0.0)
            .then_some(())
    });
    for consumer in &consumers {
        assert!(
            consumer.metrics().sum("bookend_consumer_records_total") > 0.0,
            "one did all the work"
        );
    }
    compare(query.client(), &Model::new(&events));

    // Each process does only its own part.
    assert_eq!(endpoint.client().get("/v1/session-starts?days=1").unwrap().status, 404);
    assert_eq!(consumers[0].client().post("/v1/events", &[], b"[]").unwrap().status, 404);
    assert_eq!(query.client().post("/v1/events", &[], b"[]").unwrap().status, 404);
    endpoint.stop();
    consumers.into_iter().for_each(Service::stop);
    query.stop();
}
