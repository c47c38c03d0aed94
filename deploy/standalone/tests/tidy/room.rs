//! The rules about names: each with the names, the files that may use them, and an explanation.

/// A rule: only the files `rooms` among the files `of` may use `names`.
pub(crate) struct Room {
    /// The names.
    pub(crate) names: &'static [&'static str],
    /// The kind of name.
    pub(crate) seen: Seen,
    /// Whether the rule is about production code, tests, or both.
    pub(crate) when: When,
    /// The files that the rule is about.
    pub(crate) of: &'static [&'static str],
    /// The files among them that may use the names. `*` matches anything, also `/`.
    pub(crate) rooms: &'static [&'static str],
    /// What to do instead, and why.
    pub(crate) teaches: &'static str,
    /// A file and a text that break the rule.
    pub(crate) planted: (&'static str, &'static str),
}

/// The kind of a name.
#[derive(Clone, Copy)]
pub(crate) enum Seen {
    /// Consecutive segments of a path: `std::env` is in `std::env::var`.
    Path,
    /// The beginning of a literal.
    Literal,
    /// A word in the name of a type at its definition: `Queue` is in `EventQueue`.
    Type,
    /// A word in any line, also in comments.
    Text,
}

/// The lines that a rule is about.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// All lines.
    Always,
    /// Lines of production code.
    Production,
    /// Lines of tests.
    Tests,
}

/// Every file.
const ALL: &[&str] = &["*"];

/// This test, which contains the names.
const TIDY: &str = "deploy/standalone/tests/tidy*";

/// The rules of this project.
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
        teaches: "a type may derive its schema beside its fields; the rest of the description is in an http/openapi.rs (or its folder), \
                  so that handlers are readable without it",
        planted: ("query-api/src/http/users.rs", "use utoipa::openapi::Schema;"),
    },
    Room {
        names: &["rdkafka", "rdkafka_sys"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[
            "ingest/src/log/kafka*",
            "ingest/topic-ids/*",
            "deploy/bench/*",
            "deploy/standalone/tests/system/brokers.rs",
            "deploy/standalone/tests/system/clocks.rs",
            "deploy/standalone/tests/system/drills.rs",
            "deploy/standalone/tests/system/long/hot.rs",
            "deploy/standalone/tests/system/topics.rs",
            "deploy/standalone/tests/system/upgrade/cluster.rs",
            "deploy/standalone/tests/verify/topics.rs",
        ],
        teaches: "Kafka is one backend of the log: only ingest/src/log/kafka uses its driver, all other code uses `Log`",
        planted: ("ingest/src/log.rs", "fn f(error: rdkafka::error::KafkaError) {}"),
    },
    Room {
        names: &["unsafe"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &["ingest/topic-ids/src/*"],
        teaches: "only ingest/topic-ids calls what the safe driver does not offer, and says for each call why it is sound",
        planted: ("ingest/src/log/kafka.rs", "fn f(it: *const u8) -> u8 { unsafe { *it } }"),
    },
    Room {
        names: &["scylla"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[
            "shared/src/store/cassandra*",
            // Tests of this backend read its rows and its requests.
            "shared/tests/store_contract/cassandra*",
            "deploy/bench/*",
        ],
        teaches: "Cassandra is one backend of the store: only shared/src/store/cassandra uses its driver, all other code uses `Store`",
        planted: ("query-api/src/starts.rs", "use scylla::client::session::Session;"),
    },
    Room {
        names: &["SELECT ", "INSERT INTO ", "CREATE TABLE ", "CREATE KEYSPACE ", "ALTER TABLE "],
        seen: Seen::Literal,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/store/cassandra*", "deploy/bench/*"],
        teaches: "CQL belongs beside the driver, in shared/src/store/cassandra or deploy/schema.cql",
        planted: ("shared/src/store.rs", "const READ: &str = \"SELECT ts FROM facts\";"),
    },
    Room {
        names: &["fjall", "lsm_tree"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &["shared/src/store/embedded*", "deploy/bench/*"],
        teaches: "the embedded engine is one backend of the store: only shared/src/store/embedded uses it, all other code uses `Store`",
        planted: ("shared/src/store.rs", "use fjall::{Keyspace};"),
    },
    Room {
        names: &["std::env"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/config.rs", "*/main.rs", "*/build.rs"],
        teaches: "only shared/src/config.rs reads the environment, so that every setting is a flag, a variable and a key",
        planted: ("ingest/src/http.rs", "use std::{env, io};"),
    },
    Room {
        names: &["SystemTime", "UNIX_EPOCH", "chrono::Utc", "chrono::Local"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["shared/src/clock.rs"],
        teaches: "only shared/src/clock.rs reads the time of day, so that `--as-of` applies everywhere: use a `Clock`",
        planted: ("ingest/src/retention.rs", "use std::time::SystemTime;"),
    },
    Room {
        names: &["bookend_"],
        seen: Seen::Literal,
        when: When::Production,
        of: ALL,
        rooms: &[
            "*/metrics.rs",
            "*/metrics/*",
            "shared/src/telemetry.rs",
            // The services and both backends share this metric.
            "shared/src/skew.rs",
            "deploy/bench/*",
        ],
        teaches: "the name of a metric is a contract: define it in the metrics.rs of the service, and use its field",
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
            // Each connection is a task.
            "shared/src/http.rs",
            // An append continues after its client has disconnected.
            "ingest/src/http.rs",
            // A micro-batch that panics must not end the loop.
            "ingest/src/consumer/handle.rs",
            // The file system may block the look at the file of keys.
            "shared/src/access/keys.rs",
            // Engines and drivers block, so they have their own threads.
            "ingest/src/log/*",
            "shared/src/store/*",
            // The progress line must appear while the work blocks.
            "shared/src/progress.rs",
        ],
        teaches: "tasks and threads start where a program runs (main, lib, service, deploy/standalone), per connection, per append, per \
                  micro-batch, and for backends that block: elsewhere, let the caller await",
        planted: ("query-api/src/sessions.rs", "fn f() { tokio::spawn(async {}); }"),
    },
    Room {
        names: &["commit"],
        seen: Seen::Path,
        when: When::Production,
        of: &["ingest/src/*", "query-api/src/*", "deploy/standalone/src/*"],
        rooms: &["ingest/src/consumer*", "ingest/src/log*"],
        teaches: "only ingest/src/consumer decides when to commit: an offset moves after the effects are acknowledged, never as a \
                  side effect",
        planted: ("ingest/src/retention.rs", "fn f() { log.commit(offset); }"),
    },
    Room {
        names: &["tokio::signal", "process::exit", "process::ExitCode"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &["*/main.rs", "*/lib.rs", "*/cli.rs", "*/cli/*", "deploy/bench/*"],
        teaches: "signals and exit statuses belong to the program: all other code takes the shutdown as an argument, so that a test \
                  runs the same code",
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
        teaches: "decisions about events and sessions are pure: no blocking, no I/O, no clock; take the value as an argument, or move \
                  the line to the caller",
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
        teaches: "one name for each thing: event, record, log, append, commit, user, orphan; use the one that applies",
        planted: ("ingest/src/log.rs", "struct MessageQueue;"),
    },
    Room {
        names: &["player", "players"],
        seen: Seen::Path,
        when: When::Production,
        of: ALL,
        rooms: &[],
        teaches: "the name is user; `player_id` is only an alias of `user_id` in the input",
        planted: ("query-api/src/sessions.rs", "fn f(player: &str) {}"),
    },
    Room {
        names: &["sleep", "sleep_ms"],
        seen: Seen::Path,
        when: When::Tests,
        of: ALL,
        // The system tests pace slow clients, stop at random moments, and poll for conditions. Any
        // other file here needs a comment that says why it cannot wait for a condition.
        rooms: &[
            "deploy/standalone/tests/system/service.rs",
            // Slow clients.
            "query-api/src/http/reply.rs",
            "query-api/tests/reads/served.rs",
            // The clock is paused: no time passes.
            "ingest/tests/replay.rs",
            "shared/src/store/cassandra/driver/request.rs",
            "shared/src/http/connection.rs",
            "shared/src/store/pulse.rs",
        ],
        teaches: "wait for a condition with a limit: a sleep is too short on a slow machine and too long on a fast one",
        planted: ("ingest/tests/log.rs", "fn f() { std::thread::sleep(SECOND); }"),
    },
    Room {
        names: &["todo", "unimplemented"],
        seen: Seen::Path,
        when: When::Always,
        of: ALL,
        rooms: &[],
        teaches: "leave out what is not implemented: this would fail at run time",
        planted: ("ingest/src/log.rs", "fn f() { todo!() }"),
    },
    Room {
        names: &["TODO", "FIXME", "XXX", "#[ignore"],
        seen: Seen::Text,
        when: When::Always,
        of: ALL,
        rooms: &[TIDY],
        teaches: "open an issue instead of a comment; delete a test that does not run",
        planted: ("ingest/src/log.rs", "// FIXME later"),
    },
    Room {
        names: &["/work/", "/tmp/", "/root/", "/home/"],
        seen: Seen::Text,
        when: When::Always,
        of: ALL,
        rooms: &[TIDY],
        teaches: "no paths of one machine: take a path from the configuration, and in a test from `tempfile`",
        planted: ("ingest/src/log.rs", "const DIR: &str = \"/tmp/log\";"),
    },
];

impl Room {
    /// Whether this rule forbids the names in the file at `path`.
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
    /// Whether `name` contains `word`.
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

/// Whether `pattern` matches `path`; each `*` matches anything.
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
