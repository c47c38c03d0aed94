//! The rooms: each rule with the names it is about, where they may stand, and the sentence that teaches it.

/// A rule: `names` stand in `rooms` alone, or, where `of` is given, nowhere in those files.
pub(crate) struct Room {
    /// What is looked for.
    pub(crate) names: &'static [&'static str],
    /// As what it is looked for.
    pub(crate) seen: Seen,
    /// In production code, in tests, or in both.
    pub(crate) when: When,
    /// The files the rule is about.
    pub(crate) of: &'static [&'static str],
    /// The files among them where it may stand. `*` is anything, `/` too.
    pub(crate) rooms: &'static [&'static str],
    /// What to do instead, and why.
    pub(crate) teaches: &'static str,
    /// A file and a text in it that break this rule.
    pub(crate) planted: (&'static str, &'static str),
}

/// As what a name is looked for.
#[derive(Clone, Copy)]
pub(crate) enum Seen {
    /// Consecutive segments of a path: `std::env` is seen in `std::env::var`.
    Path,
    /// The beginning of a literal.
    Literal,
    /// A word of the name of a type that is defined: `Queue` is seen in `EventQueue`.
    Type,
    /// A word of any line, comments too.
    Text,
}

/// Which lines a rule is about.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// All of them.
    Always,
    /// Those before the tests.
    Production,
    /// Those of tests.
    Tests,
}

/// Every file.
const ALL: &[&str] = &["*"];

/// This test, which has to name what it looks for.
const TIDY: &str = "deploy/standalone/tests/tidy*";

/// The rooms of this project.
pub(crate) const ROOMS: &[Room] = &[
    Room {
        names: &["warp"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["*/http.rs", "*/http/*", "shared/src/telemetry.rs"],
        teaches: "HTTP is spoken in an http.rs (or its folder) and in telemetry.rs; all other code uses our own types",
        planted: ("ingest/src/consumer.rs", "use warp::Filter;"),
    },
    Room {
        names: &["warp::Filter", "warp::filters"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/http/router.rs", "deploy/bench/*"],
        teaches: "the only warp filter is the router in shared/src/http/router.rs: add an entry to the routes of the crate",
        planted: ("ingest/src/http.rs", "use warp::{Filter, filters::BoxedFilter};"),
    },
    Room {
        names: &["utoipa::openapi", "utoipa_swagger_ui"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &["*/http/openapi*", "*/http/docs.rs"],
        teaches: "a type may derive its schema beside its fields; whatever else is said of the HTTP API is said in an http/openapi.rs \
                  (or its folder), so that a handler reads without it",
        planted: ("query-api/src/http/users.rs", "use utoipa::openapi::Schema;"),
    },
    Room {
        names: &["rdkafka", "rdkafka_sys"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[
            "ingest/src/log/kafka*",
            "deploy/bench/*",
            "deploy/standalone/tests/system/drills.rs",
        ],
        teaches: "Kafka is one backend of the log: its driver stands in ingest/src/log/kafka, everything else says `Log`",
        planted: ("ingest/src/log.rs", "fn f(error: rdkafka::error::KafkaError) {}"),
    },
    Room {
        names: &["scylla"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[
            "shared/src/store/cassandra*",
            // Tests of this backend look at its rows, and at what goes over the wire.
            "shared/tests/store_contract/cassandra*",
            "deploy/bench/*",
        ],
        teaches: "Cassandra is one backend of the store: its driver stands in shared/src/store/cassandra, everything else says `Store`",
        planted: ("query-api/src/starts.rs", "use scylla::client::session::Session;"),
    },
    Room {
        names: &["SELECT ", "INSERT INTO ", "CREATE TABLE ", "CREATE KEYSPACE ", "ALTER TABLE "],
        seen: Seen::Literal,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/store/cassandra*", "deploy/bench/*"],
        teaches: "a word of CQL stands beside the driver, in shared/src/store/cassandra or deploy/schema.cql",
        planted: ("shared/src/store.rs", "const READ: &str = \"SELECT ts FROM facts\";"),
    },
    Room {
        names: &["fjall", "lsm_tree"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &["shared/src/store/embedded*", "deploy/bench/*"],
        teaches: "the embedded engine is one backend of the store: it stands in shared/src/store/embedded, everything else says `Store`",
        planted: ("shared/src/store.rs", "use fjall::{Keyspace};"),
    },
    Room {
        names: &["std::env"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/config.rs", "*/main.rs", "*/build.rs"],
        teaches: "the environment is read in shared/src/config.rs alone, so that a setting is a flag, a variable and a key alike",
        planted: ("ingest/src/http.rs", "use std::{env, io};"),
    },
    Room {
        names: &["SystemTime", "UNIX_EPOCH", "chrono::Utc", "chrono::Local"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/clock.rs"],
        teaches: "the time of day comes in through shared/src/clock.rs alone, so that `--as-of` holds everywhere: ask a `Clock`",
        planted: ("ingest/src/retention.rs", "use std::time::SystemTime;"),
    },
    Room {
        names: &["bookend_"],
        seen: Seen::Literal,
        when: When::Production,
        of: ALL,
        rooms: &["*/metrics.rs", "*/metrics/*", "shared/src/telemetry.rs", "deploy/bench/*"],
        teaches: "a metric's name is a contract: it stands in that service's metrics.rs, and is used by the field there",
        planted: (
            "ingest/src/consumer.rs",
            "fn f() { count(\"bookend_consumer_records_total\"); }",
        ),
    },
    Room {
        names: &["spawn", "spawn_blocking", "spawn_local", "block_in_place"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &[
            "*/main.rs",
            "*/lib.rs",
            "*/src/service.rs",
            "deploy/standalone/src/*",
            "deploy/bench/*",
            // Every connection is a task.
            "shared/src/http.rs",
            // An append goes on when its client has gone.
            "ingest/src/http.rs",
            // A micro-batch that panics must not take the loop with it.
            "ingest/src/consumer.rs",
            // An engine and a driver block: they have threads of their own.
            "ingest/src/log/*",
            "shared/src/store/*",
            // What is shown while somebody waits must not wait for the same.
            "shared/src/progress.rs",
        ],
        teaches: "a task or a thread starts where something is run (main, lib, service, deploy/standalone), per connection, per append, per \
                  micro-batch, or to keep a backend that blocks off the runtime: anywhere else, be awaited by the caller",
        planted: ("query-api/src/sessions.rs", "fn f() { tokio::spawn(async {}); }"),
    },
    Room {
        names: &["commit"],
        seen: Seen::Path,
        when: When::Production,
        of: &["ingest/src/*", "query-api/src/*", "deploy/standalone/src/*"],
        rooms: &["ingest/src/consumer*", "ingest/src/log*"],
        teaches: "when to commit is decided in ingest/src/consumer.rs alone: an offset moves after the effects are acknowledged, \
                  never as a side effect",
        planted: ("ingest/src/retention.rs", "fn f() { log.commit(offset); }"),
    },
    Room {
        names: &["tokio::signal", "process::exit", "process::ExitCode"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["*/main.rs", "*/lib.rs", "*/cli.rs", "*/cli/*", "deploy/bench/*"],
        teaches: "a signal and an exit status belong to the program: the shutdown of everything else is an argument, so that a \
                  test is the program",
        planted: ("ingest/src/consumer.rs", "fn f() { std::process::exit(1); }"),
    },
    Room {
        names: &[
            "async",
            "await",
            "tokio",
            "warp",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "std::process",
            "std::sync",
            "Instant",
            "SystemTime",
            "Clock",
        ],
        seen: Seen::Path,
        when: When::Production,
        of: &[
            "ingest/src/pairing.rs",
            "shared/src/event.rs",
            "shared/src/event/*",
            "shared/src/session.rs",
        ],
        rooms: &[],
        teaches: "what is decided of an event or a session is pure: nothing here can block, fail from outside, or tell the time; \
                  take it as an argument, or move the line to its caller",
        planted: ("shared/src/event/body.rs", "use std::{borrow::Cow, fs::File};"),
    },
    Room {
        names: &[
            "Message",
            "Payload",
            "Queue",
            "Bus",
            "Player",
            "Account",
            "Dangling",
            "Ack",
            "Publisher",
            "Publish",
        ],
        seen: Seen::Type,
        when: When::Always,
        of: ALL,
        rooms: &[],
        teaches: "one word for each thing: event, record, log, append, commit, user, orphan; say which of these it is",
        planted: ("ingest/src/log.rs", "struct MessageQueue;"),
    },
    Room {
        names: &["player", "players"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &[],
        teaches: "it is a user; `player_id` is a name that the input may give to `user_id`, and nothing else",
        planted: ("query-api/src/sessions.rs", "fn f(player: &str) {}"),
    },
    Room {
        names: &["sleep", "sleep_ms"],
        seen: Seen::Path,
        when: When::Tests,
        of: ALL,
        // A file that may wait, with a comment that says why no condition can be awaited there.
        // The system tests need a pace for slow clients and moments drawn by chance, and a pause between two looks.
        rooms: &["deploy/standalone/tests/system/service.rs"],
        teaches: "a test waits for a condition, with a limit: a sleep is too short on a slow machine and too long on a fast one",
        planted: ("ingest/tests/log.rs", "fn f() { std::thread::sleep(SECOND); }"),
    },
    Room {
        names: &["todo", "unimplemented"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[],
        teaches: "what is not built is not there: a promise in code is broken at run time",
        planted: ("ingest/src/log.rs", "fn f() { todo!() }"),
    },
    Room {
        names: &["TODO", "FIXME", "XXX", "#[ignore"],
        seen: Seen::Text,
        when: When::Always,
        of: ALL,
        rooms: &[TIDY],
        teaches: "what is left over is an issue, not a comment; and a test that is not run is not there",
        planted: ("ingest/src/log.rs", "// FIXME later"),
    },
    Room {
        names: &["/work/", "/tmp/", "/root/", "/home/"],
        seen: Seen::Text,
        when: When::Always,
        of: ALL,
        rooms: &[TIDY],
        teaches: "no machine's own folders: take a path from the configuration, and in a test from `tempfile`",
        planted: ("ingest/src/log.rs", "const DIR: &str = \"/tmp/log\";"),
    },
];

impl Room {
    /// Whether this rule is about the file at `path` and does not allow it there.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let among = |patterns: &[&str]| patterns.iter().any(|pattern| fits(pattern, path));
        among(self.of) && !among(self.rooms)
    }
}

impl When {
    pub(crate) fn covers(self, test: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Production => !test,
            Self::Tests => test,
        }
    }
}

impl Seen {
    /// Whether `word` is seen in `name`.
    pub(crate) fn matches(self, name: &str, word: &str) -> bool {
        match self {
            Self::Path => format!("::{name}::").contains(&format!("::{word}::")),
            Self::Literal => name
                .trim_start_matches(['b', 'c', 'r', '#'])
                .strip_prefix('"')
                .is_some_and(|text| text.starts_with(word)),
            Self::Type => name
                .match_indices(word)
                .any(|(at, _)| !name[at + word.len()..].starts_with(char::is_lowercase)),
            Self::Text => {
                name.match_indices(word).any(|(at, _)| !name[..at].ends_with(char::is_alphanumeric))
            }
        }
    }
}

/// Whether `pattern` is `path`, where each `*` stands for anything.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, after)) => path.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| fits(after, &rest[at..]))
        }),
    }
}
