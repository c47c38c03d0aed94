//! The commands: their purpose, their arguments, and the sections at the end of their `--help`.

use clap::{Args, Command};
use ingest::log::{DeadLetterCode, kafka::librdkafka_version};
use shared::{
    cli::{
        self,
        help::{self, section},
    },
    config,
};

use super::reads::reads;
use crate::{
    client::API_KEY,
    demo::DemoArgs,
    generate::GenerateArgs,
    health::HealthArgs,
    key::{ListArgs, NewArgs, RevokeArgs},
    load::LoadArgs,
    serve,
};

const ABOUT: &str = "Pairs the starts and ends of user sessions and serves queries about them";
const LONG_ABOUT: &str = "Bookend accepts batches of session events over HTTP, pairs starts with \
                          ends, and answers three questions: which sessions started in each \
                          country, which sessions a user completed most recently, and why a \
                          session is open or missing.";
const AT_REST: &[&str] = &[
    "Embedded: stop the service first; only one process can open the data",
    "directory. Kafka and Cassandra: wait until producers have stopped. Events",
    "that are not answered yet are only counted.",
];
const STOPPED: &[&str] = &[
    "Embedded: stop the service first; only one process can open the log.",
    "Kafka: the service may keep running.",
];
const GENERATED: &[&str] = &[
    "lines, sessions  the number of each",
    "seed, ending_at  the arguments that generate the same bytes again",
    "output           the path of the file",
];
const STATUSES: &[&str] = &[
    "          1 also: verify found a difference, or nothing to compare",
    "          1 also: load had no event accepted, or --strict stopped it",
    "130, 143  a command other than a service was stopped by a signal",
    "A closed pipe, as in `bookend … | head`, is not a failure.",
];
const LOADED: &[&str] = &[
    "sent               number of events, the sum of the four numbers below",
    "accepted, discarded, undelivered  number of each",
    "rejected           number by code, for example {\"missing_ts\":2}; too_long:",
    "                   lines longer than a request may be",
    "retries            number of repeated requests",
    "elapsed_seconds, events_per_second",
    "failure            why the load failed, or null",
];
const LOADABLE: &[&str] = &[
    "One event per line, one JSON array, {\"events\":[…]} or {\"rows\":[…]}, of any",
    "length, in UTF-8 or UTF-16. Compressed files may have several members, and",
    "zero bytes after them. Their first bytes decide, not their names.",
];
const REJECTED: &[&str] = &[
    "file, line or index  the place of the event: its line from 1, or its position",
    "                     in an array from 0",
    "code, detail         why it is not kept; discarded events have expired",
    "The lines have the order of the replies. --strict does not stop at a",
    "discarded event. Events that were sent before it stops stay accepted.",
];
const SET_UP: &[&str] = &["log, store  for each, a list of the actions taken, as sentences"];
const VERIFIED: &[&str] = &[
    "ledger              number of records; of these, how many are paired, open,",
    "                    orphan, superseded, duplicate, expired, dead_lettered,",
    "                    skipped",
    "sessions            complete, open and orphan sessions",
    "contested_sessions  sessions with too many facts, which are not compared",
    "unanswered          records that the service has not processed yet",
    "log_is_cut          whether retention has removed the oldest records",
    "differences         count, and the first 100 in first: kind, user_id,",
    "                    session_id, text",
];
const HEALTH: &[&str] = &[
    "Without --url, the address that the settings name: --operations-listen if it",
    "is given, else --listen, on loopback if the service has every address. There",
    "the certificate is not verified, and no API key is sent over TLS.",
];
const REDRIVEN: &[&str] = &[
    "looked_at                 number of dead letters, the sum of the others",
    "appended, kept, repeated  dead letters by outcome; repeated ones are removed",
];

const LISTED: &[&str] = &[
    "keys  for each key: id, rights, quota (events per second, or null), origins,",
    "      expires (the first day without it, or null), expired, users_prefix",
];
const ROTATED: &[&str] = &[
    "1. Make a key with another id and the same rights.",
    "2. Give it to the clients. Both keys are valid.",
    "3. Revoke the earlier one when its requests have ended; see the label `key`",
    "   of bookend_ingest_requests_total and bookend_query_requests_total.",
];

/// The arguments of `bookend setup` and `bookend verify` besides the settings of `serve`.
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Print the report as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `bookend redrive` besides the settings of `serve`.
#[derive(Args, Debug)]
pub(super) struct RedriveArgs {
    /// Only dead letters with this code (repeatable) [default: all]
    #[arg(long, value_name = "CODE")]
    pub(super) code: Vec<DeadLetterCode>,

    /// Print the report as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The whole command line.
pub(super) fn program() -> Command {
    let notes = [
        section(
            "Examples",
            &["bookend demo", "bookend serve --data-dir ./data", "bookend help load"],
        ),
        help::exit_status(STATUSES),
        help::environment("every setting of `serve`"),
        help::files(&["./bookend-data    default of --data-dir: the embedded log and store"]),
    ];
    let program = cli::program("bookend", ABOUT, Some(&librdkafka_version()))
        .long_about(LONG_ABOUT)
        .after_help(help::sections(&notes));
    let program = operating_commands(data_commands(program)).subcommand(key()).subcommand(config());
    cli::packaging::with_commands(program).subcommand_required(true).arg_required_else_help(true)
}

/// Adds the commands that serve, generate and load data.
#[rustfmt::skip]
fn data_commands(program: Command) -> Command {
    program
        .subcommand(with_settings::<()>("serve", "Run the service", &[
            section("Examples", &[
                "bookend serve --listen 0.0.0.0:5000 --data-dir /var/lib/bookend",
                "bookend serve --as-of 2019-05-13T12:00:00Z",
            ]),
        ]))
        .subcommand(with_args::<DemoArgs>("demo",
            "Run a service with artificial data and print example replies",
            &[
                section("Example", &["bookend demo --sessions 1000 --once"]),
                config::secrets_help(&[API_KEY]),
            ],
        ))
        .subcommand(with_args::<GenerateArgs>("generate",
            "Generate an artificial data set as JSON lines, one event per line", &[
            section("Examples", &[
                "bookend generate --sessions 1000 > events.ndjson",
                "bookend generate --profile hostile | bookend load -",
            ]),
            section("Output with --json", GENERATED),
        ]))
        .subcommand(with_args::<LoadArgs>("load",
            "Send files of events to a running service and print a summary", &[
            section("Example", &["bookend load events.ndjson --url http://127.0.0.1:5000"]),
            section("Input", LOADABLE),
            section("Lines of --rejects", REJECTED),
            section("Output with --json", LOADED),
            config::secrets_help(&[API_KEY]),
        ]))
}

/// Adds the commands that operate on the log and the store.
#[rustfmt::skip]
fn operating_commands(program: Command) -> Command {
    program
        .subcommand(with_settings::<ReportArgs>("setup",
            "Create missing Kafka topics, and create or update the Cassandra tables", &[
            section("Example", &[
                "bookend setup --log kafka --kafka-brokers kafka:9092 \\",
                "    --store cassandra --cassandra-nodes cassandra:9042",
            ]),
            section("Output with --json", SET_UP),
        ]))
        .subcommand(with_settings::<ReportArgs>("verify",
            "Recompute every session from the log, compare it with the store, print the ledger", &[
            section("Example", &["bookend verify --data-dir ./data"]),
            section("When", AT_REST),
            section("Output with --json", VERIFIED),
        ]))
        .subcommand(with_settings::<RedriveArgs>("redrive",
            "Append dead letters to the log, to be processed again", &[
            section("Example", &["bookend redrive --code contested --data-dir ./data"]),
            section("When", STOPPED),
            section("Output with --json", REDRIVEN),
        ]))
        .subcommand(with_settings::<HealthArgs>("health",
            "Ask a running service whether it is ready; status 0 if it is, 1 if not", &[
            section("Examples", &[
                "bookend health",
                "bookend health --url https://bookend.example",
            ]),
            section("Address", HEALTH),
            config::secrets_help(&[API_KEY]),
        ]))
}

/// The command `key` with its own commands.
#[rustfmt::skip]
fn key() -> Command {
    with_args::<()>("key", "Make, list and revoke the API keys in a file", &[
        section("Examples", &[
            "bookend key new --keys keys.toml --id web --rights ingest",
            "bookend key list --keys keys.toml",
            "bookend key revoke --keys keys.toml --id web",
        ]),
        section("Rotate a key without a gap", ROTATED),
    ])
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(with_args::<NewArgs>("new",
            "Make a key and print it, once; the file keeps only its hash", &[
            section("Examples", &[
                "bookend key new --keys keys.toml --id reports --rights read > reports.key",
                "bookend key new --keys keys.toml --id web --rights ingest --quota 5000 \\",
                "    --origin https://game.example --expires 2027-06-01",
            ]),
        ]))
        .subcommand(with_args::<ListArgs>("list", "List the keys", &[
            section("Example", &["bookend key list --keys keys.toml"]),
            section("Output with --json", LISTED),
        ]))
        .subcommand(with_args::<RevokeArgs>("revoke",
            "Remove a key; services that follow the file refuse it within seconds", &[
            section("Example", &["bookend key revoke --keys keys.toml --id web"]),
        ]))
}

/// The command `config` with its own command.
#[rustfmt::skip]
fn config() -> Command {
    with_args::<()>("config", "Check and print the configuration", &[
        section("Example", &["bookend config print --config bookend.toml"]),
    ])
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(with_settings::<()>("print",
            "Print every setting of `serve`, its value and its source, as a file for --config", &[
            section("Examples", &[
                "bookend config print --config bookend.toml",
                "bookend config print > bookend.toml",
            ]),
            section("Output", &[
                "Each setting with its source as a comment. Defaults are comments as a whole.",
                "Secrets are never printed, and neither are values that may contain one.",
            ]),
        ]))
}

/// A command with the arguments `T`.
fn with_args<T: Args>(name: &'static str, about: &'static str, notes: &[String]) -> Command {
    // Set last, because `T` sets its doc comment, which is for readers of the code.
    let command = T::augment_args(Command::new(name)).about(about).long_about(None);
    help::with_notes(command, notes)
}

/// A command with the arguments `T` and the settings of `serve`.
fn with_settings<T: Args>(name: &'static str, about: &'static str, notes: &[String]) -> Command {
    let settings = serve::settings();
    let secrets = (name != "health").then(|| config::secrets_help(&settings));
    let notes: Vec<_> = notes.iter().cloned().chain(secrets).collect();
    let args = config::args(&settings).map(|arg| match reads(name, &arg) {
        true => arg,
        false => arg.hide(true),
    });
    with_args::<T>(name, about, &notes).args(args)
}
