//! From `bookend generate` through `bookend load` to the replies.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use shared::{clock::Clock, timestamp::Timestamp};

use crate::{
    backends::{Backends, on},
    client::Client,
    data::{Chance, ENDING_AT, generate, joined, lines},
    model::Model,
    questions::{ask_all, compare, same},
    reading::{events, instant_of},
    service::BOOKEND,
};

on!([
    what_generate_makes_and_load_delivers_is_answered_as_an_independent_model_answers_it,
    hostile_data_gives_the_same_answers_in_any_order_and_any_number_of_times,
    a_country_that_only_a_superseded_start_names_is_a_key_whichever_start_came_first,
]);
on!(on_kafka_alone: Kafka, on_cassandra_alone: Cassandra => [hostile_data_gives_the_same_answers_in_any_order_and_any_number_of_times]);

/// Returns the summary of `bookend load -` with `lines` as input.
fn load(client: Client, lines: &[Vec<u8>]) -> Value {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["load", "-", "--json", "--url", &format!("http://{}", client.0)]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&joined(lines)).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{:?}", done.status);
    serde_json::from_slice(&done.stdout).unwrap()
}

fn what_generate_makes_and_load_delivers_is_answered_as_an_independent_model_answers_it(
    backends: Backends,
) {
    let data = tempfile::tempdir().unwrap();
    // As in the README: with the clock of the machine and data that ends now.
    let service = backends.start(data.path(), &[]);
    let now = Clock::machine().now();
    let file = data.path().join("events.ndjson");
    let script = "\"$0\" generate --sessions 2000 --seed 7 --ending-at \"$2\" | tee \"$3\" | \"$0\" load - --url \"$1\"";
    let url = format!("http://{}", service.client().0);
    let mut command = Command::new("sh");
    command.args(["-c", script, BOOKEND, &url, &now.to_string()]).arg(&file);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary = String::from_utf8(done.stdout).unwrap();

    let events = events(&lines(&std::fs::read(&file).unwrap()), now.millis());
    let shown = |name: &str| {
        let line = summary.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].replace(',', "").trim().parse::<usize>().unwrap()
    };
    assert_eq!([shown("accepted"), shown("rejected")], [events.len(), 0], "{summary}");
    service.wait_until_answered(events.len());
    compare(service.client(), &Model::new(&events));

    // Every record is accounted for.
    let metrics = service.metrics();
    assert_eq!(metrics.sum("bookend_consumer_records_total"), events.len() as f64);
    service.stop();
}

fn hostile_data_gives_the_same_answers_in_any_order_and_any_number_of_times(backends: Backends) {
    let mut lines = generate("hostile", 2_000, 8);
    let now = instant_of(ENDING_AT);
    let events = events(&lines, now);
    let model = Model::new(&events);
    let paths: Vec<_> = model.answers().into_keys().collect();

    let flags = ["--as-of", ENDING_AT];
    let (one_dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = backends.start(one_dir.path(), &flags);
    let summary = load(one.client(), &lines);
    assert_eq!(summary["accepted"], events.len());
    assert_eq!(summary["sent"], lines.len());
    assert_eq!(summary["failure"], Value::Null);
    one.wait_until_answered(events.len());
    compare(one.client(), &model);
    let once = ask_all(one.client(), paths.clone());

    assert_eq!(load(one.client(), &lines)["accepted"], events.len());
    one.wait_until_answered(2 * events.len());
    same(&once, &ask_all(one.client(), paths.clone()));

    Chance::new(9).shuffle(&mut lines);
    let other = backends.start(other_dir.path(), &[flags[0], flags[1], "--log-partitions", "1"]);
    assert_eq!(load(other.client(), &lines)["accepted"], events.len());
    other.wait_until_answered(events.len());
    same(&once, &ask_all(other.client(), paths));
}

fn a_country_that_only_a_superseded_start_names_is_a_key_whichever_start_came_first(
    backends: Backends,
) {
    let start = |country: &str, ts: &str| {
        json!([{ "user_id": "u", "session_id": "s", "event": "start",
        "ts": ts, "country": country }])
        .to_string()
    };
    let (first, later) = (start("SK", "2016-12-01T10:00:00Z"), start("DE", "2016-12-01T10:00:01Z"));
    let answer = |bodies: [&str; 2]| {
        let data = tempfile::tempdir().unwrap();
        let service = backends.start(data.path(), &["--as-of", ENDING_AT]);
        for (sent, body) in bodies.iter().enumerate() {
            assert_eq!(service.client().post("/", &[], body.as_bytes()).unwrap().status, 200);
            service.wait_until_answered(sent + 1);
        }
        service.client().ask("/user/last-events?days=2")
    };
    let expected = json!({ "DE": [], "SK": [{ "user_id": "u", "session_id": "s", "ts": "2016-12-01T10:00:00Z" }] });
    assert_eq!(answer([&first, &later]), expected);
    assert_eq!(answer([&later, &first]), expected);
}

#[test]
fn the_machine_and_the_tests_agree_on_how_an_instant_is_spelled() {
    for millis in [0, 1, 999, 1_480_690_800_000, 1_480_690_800_010] {
        let spelled = Timestamp::from_millis(millis).unwrap().to_string();
        assert_eq!(crate::reading::spelled(millis), spelled);
        assert_eq!(instant_of(&spelled), millis);
    }
}
