//! README is true: its commands and examples run as printed, its replies are the real ones, and it
//! stays short.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    apart::path_of,
    backends::Backends,
    data::project,
    seeds::{ADDRESS, curl},
    service::{BOOKEND, Service, eventually},
};

/// The most lines that README may have.
const LINES: usize = 160;

/// A code block: its language and its text.
type Block<'a> = (&'a str, &'a str);

fn readme() -> String {
    fs::read_to_string(project().join("README.md")).unwrap()
}

/// The text of a section, up to the next heading of its level.
fn section<'a>(readme: &'a str, heading: &str) -> &'a str {
    let heading = format!("\n## {heading}\n");
    let (_, text) =
        readme.split_once(&heading).unwrap_or_else(|| panic!("README has no section{heading}"));
    text.split("\n## ").next().unwrap_or(text)
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("```") {
        let (block, after) = begun.split_once("\n```").unwrap();
        blocks.push(block.split_once('\n').unwrap_or((block, "")));
        rest = after;
    }
    blocks
}

/// The commands of a shell block, without comments and `&`.
fn commands(block: &str) -> impl Iterator<Item = &str> {
    let lines = block.lines().map(|line| line.split(" #").next().unwrap_or(line));
    let lines = lines.map(|line| line.trim().trim_end_matches(" &"));
    lines.filter(|line| !line.is_empty())
}

/// A reply in which every time and every duration is the same: they depend on when the test runs.
fn timeless(reply: &str) -> Value {
    let mut reply = reply.to_owned();
    for (at, _) in reply.clone().rmatch_indices('T') {
        let is_time =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b":-.".contains(&byte));
        let (from, to) = (at.saturating_sub(10), reply[at..].find('Z').map(|end| at + end + 1));
        if let Some(to) = to.filter(|to| to - at <= 14)
            && is_time(&reply[from..at])
            && is_time(&reply[at + 1..to - 1])
        {
            reply.replace_range(from..to, "TIME");
        }
    }
    let mut reply = serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error}: {reply}"));
    without_lengths(&mut reply);
    reply
}

fn without_lengths(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.get_mut("duration_ms").into_iter().for_each(|length| *length = Value::Null);
            members.values_mut().for_each(without_lengths);
        }
        Value::Array(items) => items.iter_mut().for_each(without_lengths),
        _ => {}
    }
}

/// Waits until every event that `service` has accepted is visible.
fn settle(service: &Service) {
    let accepted =
        service.metrics().sum("bookend_ingest_events_total{code=\"\",outcome=\"accepted\"}");
    service.wait_until_answered(accepted as usize);
}

/// The program that a line of README starts, with a port of its own.
fn started(words: &[&str]) -> Command {
    let mut command = Command::new(path_of(words[0]));
    command.env_clear().args(words[1..].iter().map(|word| match *word {
        address if address.starts_with("127.0.0.1:") => "127.0.0.1:0",
        word => word,
    }));
    command.envs([("BOOKEND_LISTEN", "127.0.0.1:0"), ("BOOKEND_LOG_FORMAT", "json")]);
    command
}

#[test]
fn the_three_questions_get_the_replies_that_are_shown() {
    let readme = readme();
    let blocks = blocks(section(&readme, "The three questions"));
    let [("sh", serve), questions @ ..] = &blocks[..] else { panic!("{blocks:?}") };
    let serve = serve.trim().replace("cargo run --release --", "bookend");
    let data = tempfile::tempdir().unwrap();
    let serve = serve.replace("./example-data", &data.path().display().to_string());
    let service = Service::run(started(&serve.split(' ').collect::<Vec<_>>()));
    for question in questions.chunks(2) {
        let [("sh", command), ("json", reply)] = question else { panic!("{question:?}") };
        assert_eq!(timeless(&curl(&service, command)), timeless(reply), "{command}");
        settle(&service);
    }
    assert_eq!(questions.len(), 8, "an upload, the three questions, and their replies");
}

/// Runs `program` with `text` as its last argument, which is an example of README's.
fn example(service: &Service, program: &str, args: &[&str], text: &str) -> String {
    let text = text.replace(ADDRESS, &service.client().0.to_string());
    let mut command = Command::new(program);
    command.args(args).arg(&text).stdin(Stdio::null()).env("no_proxy", "*");
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `deploy/test --install` installs it"));
    let written = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}\n{written}{}", String::from_utf8_lossy(&done.stderr));
    written.into_owned()
}

#[test]
fn the_clients_deliver_their_events_and_come_again_after_a_429() {
    let readme = readme();
    let blocks = blocks(section(&readme, "Integrate"));
    let data = tempfile::tempdir().unwrap();
    // One event a second: the second client and the third have to wait.
    let service = Service::start(data.path(), &["--quota", "1", "--max-batch-events", "1"]);
    for (number, (language, text)) in blocks.iter().enumerate() {
        let reply = match *language {
            "sh" => curl(&service, text),
            "python" => example(&service, "python3", &["-c"], text),
            "js" => example(&service, "node", &["--input-type=module", "--eval"], text),
            other => panic!("no test runs {other}"),
        };
        assert!(reply.contains("POST success"), "{language}: {reply}");
        assert!(text.lines().count() <= 12, "{language}: an example has about ten lines");
        service.wait_until_answered(number + 1);
    }
    assert_eq!(blocks.len(), 3);
    assert!(
        service.metrics().sum("bookend_ingest_requests_total{key=\"none\",status=\"429\"}") > 0.0
    );
}

#[test]
fn the_three_programs_run_on_kafka_and_cassandra_as_readme_starts_them() {
    let readme = readme();
    let blocks = blocks(section(&readme, "Run it on Kafka and Cassandra"));
    let [("sh", lines)] = blocks[..] else { panic!("{blocks:?}") };
    let data = tempfile::tempdir().unwrap();
    // Where the servers are is all that differs: as variables, which a flag of README's overrides.
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let variables: Vec<_> = flags
        .chunks(2)
        .map(|flag| {
            (format!("BOOKEND_{}", flag[0][2..].replace('-', "_").to_uppercase()), &flag[1])
        })
        .filter(|(variable, _)| {
            variable.starts_with("BOOKEND_KAFKA_") || variable.starts_with("BOOKEND_CASSANDRA_")
        })
        .collect();
    let mut services = Vec::new();
    for line in commands(lines) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[0] {
            "bookend" => {
                let done = started(&words).envs(variables.iter().cloned()).output().unwrap();
                assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
            }
            "ingest" | "query-api" => {
                let mut command = started(&words);
                services.push(Service::run({
                    command.envs(variables.iter().cloned());
                    command
                }));
            }
            // The build and the servers of the tests themselves.
            "cargo" | "deploy/stack/up" => {}
            other => panic!("no test runs {other}"),
        }
    }
    let [endpoint, consumer, queries] = &services[..] else { panic!("three programs") };
    let questions = section(&readme, "The three questions");
    let (_, upload) = self::blocks(questions)[1];
    curl(endpoint, upload);
    eventually("the consumer has paired what was posted", || {
        (consumer.metrics().sum("bookend_consumer_records_total") >= 3.0).then_some(())
    });
    eventually("the session is visible", || {
        let sessions = queries.client().ask("/v1/users/ada/sessions")["sessions"].clone();
        (sessions.as_array().unwrap().len() == 1).then_some(())
    });
    services.into_iter().for_each(Service::stop);
}

#[test]
fn readme_is_short_and_prints_only_commands_that_a_test_runs() {
    let readme = readme();
    assert!(readme.lines().count() <= LINES, "{} lines", readme.lines().count());
    // The demo has a test of its own, and `deploy/test` runs this one.
    // The other sections are run above.
    let (top, _) = readme.split_once("\n## ").unwrap();
    let top: Vec<_> = blocks(top).into_iter().flat_map(|(_, text)| commands(text)).collect();
    assert_eq!(top, ["cargo run --release -- demo", "deploy/test"]);
    let tested = ["The three questions", "Integrate", "Run it on Kafka and Cassandra"];
    let tested: usize = tested.iter().map(|name| blocks(section(&readme, name)).len()).sum();
    assert_eq!(blocks(&readme).len(), 1 + tested, "a code block stands in another section");
    assert!(Command::new(BOOKEND).args(["demo", "--help"]).output().unwrap().status.success());
}

#[test]
fn the_versions_that_readme_names_are_those_that_are_tested() {
    let readme = readme();
    let file = |name: &str| fs::read_to_string(project().join(name)).unwrap();
    let (_, line) = readme.split_once("\nTested with ").unwrap();
    let version = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name} ")).unwrap();
        rest.split([',', ' ']).next().unwrap().to_owned()
    };
    let servers = file("deploy/stack/servers/pom.xml");
    for (name, artifact) in [("Apache Kafka", "kafka_2.13"), ("Apache Cassandra", "cassandra-all")]
    {
        let (_, rest) =
            servers.split_once(&format!("<artifactId>{artifact}</artifactId>")).unwrap();
        assert!(rest.trim_start().starts_with(&format!("<version>{}<", version(name))), "{name}");
    }
    assert!(file("Cargo.lock").contains(&format!("+{}\"", version("librdkafka"))));
    assert!(file("rust-toolchain.toml").contains(&format!("\"{}\"", version("Rust"))));
}

#[test]
fn times_are_the_only_difference_between_a_reply_and_what_is_shown() {
    let shown = r#"{"ts":"2026-11-28T17:00:00Z","why":"it started at 2026-11-28T17:00:00.250Z in TIN","duration_ms":1}"#;
    let same = shown.replace("28T17", "29T18").replace(":1}", ":2}");
    assert_eq!(timeless(shown), timeless(&same));
    assert_ne!(timeless(shown), timeless(&shown.replace("TIN", "TIM")));
}
