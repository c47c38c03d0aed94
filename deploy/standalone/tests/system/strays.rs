//! Rows in Cassandra that no event made, as a restored snapshot or a mistaken operator leaves them.

use std::process::Output;

use crate::{
    backends::Backends,
    command_line::{bookend, said},
    cql::{Cql, flag},
    data::ENDING_AT,
    topics::batch,
};

#[test]
fn verify_names_a_completed_session_and_a_start_without_facts_and_fails() {
    let data = tempfile::tempdir().unwrap();
    let service = Backends::Cassandra.start(data.path(), &["--as-of", ENDING_AT]);
    let reply = service
        .client()
        .post("/v1/events", &[("content-type", "application/json")], &batch(0..3))
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    service.wait_until_answered(3);
    service.stop();

    let flags = Backends::Cassandra.flags(data.path());
    let dir = data.path().to_str().unwrap();
    let args: Vec<_> = ["verify", "--as-of", ENDING_AT, "--data-dir", dir]
        .into_iter()
        .chain(flags.iter().map(String::as_str))
        .collect();
    let verify = || -> (Output, String) {
        let output = bookend(&args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output, text)
    };
    let (output, text) = verify();
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output));

    let keyspace = flag(&flags, "--cassandra-keyspace");
    let mut cql = Cql::connect(flag(&flags, "--cassandra-nodes"));
    for insert in [
        "completed_by_user (user_id, ended_at, session_id, started_at, country, marker) VALUES \
         ('nobody', '2016-12-01T01:00:00Z', 'stray-completed', '2016-12-01T00:00:00Z', 'SK', 0)",
        "countries (everywhere, country, day) VALUES (0, 'QQ', '2016-12-01')",
        "start_partitions (country, day, shards, shard) VALUES ('QQ', '2016-12-01', 1, 0)",
        "starts_by_country (country, day, shards, shard, ts, session_id, user_id, marker) VALUES \
         ('QQ', '2016-12-01', 1, 0, '2016-12-01T00:00:00Z', 'stray-start', 'nobody', 0)",
    ] {
        cql.execute(&format!("INSERT INTO {keyspace}.{insert}"));
    }
    let (output, text) = verify();
    assert_eq!(output.status.code(), Some(1), "{text}{}", said(&output));
    for stray in ["stray-completed", "stray-start"] {
        let named = format!("difference: session {stray:?} of user \"nobody\"");
        assert!(text.contains(&named), "{stray}: {text}");
    }
    assert!(text.contains("2 differences"), "{text}");
    assert!(said(&output).contains("the store differs from the log"), "{}", said(&output));
}
