//! The commands: what each is for, what it takes, and what its `--help` and its manual page say at their end.

use clap::{Args, Command};
use ingest::log::{DeadLetterCode, kafka::librdkafka_version};
use shared::{
    cli::{
        self,
        help::{self, section},
    },
    config,
};

use crate::{demo::DemoArgs, generate::GenerateArgs, load::LoadArgs, serve};

const ABOUT: &str = "Pairs the starts and ends of user sessions, and answers questions about them";
const LONG_ABOUT: &str = "Bookend takes batches of session events, pairs starts with ends, and answers which sessions started where \
                          and which are a user's last complete ones.";
const AT_REST: &[&str] = &[
    "Nothing may be appended or handled meanwhile, or the two differ by that:",
    "stop the service, for an embedded log or store belongs to one process;",
    "over Kafka and Cassandra let it come to rest.",
];
const STOPPED: &[&str] = &[
    "An embedded log belongs to one process: stop the service first.",
    "Over Kafka the service may go on.",
];
const GENERATED: &[&str] = &[
    "lines, sessions  how many",
    "seed, ending_at  what makes the same bytes again",
    "output           the file",
];
const LOADED: &[&str] = &[
    "sent               events: the sum of the next four",
    "accepted, discarded, undelivered",
    "rejected           by code, as in {\"missing_ts\":2}",
    "retries            requests that were made once more",
    "elapsed_seconds, events_per_second",
    "failure            why something was not delivered, or null",
];
const SET_UP: &[&str] = &["log, store  what was done about each, in sentences"];
const VERIFIED: &[&str] = &[
    "ledger              records, and of these paired, open, orphan, superseded,",
    "                    duplicate, expired, dead_lettered, skipped",
    "sessions            that are answered",
    "contested_sessions  with more facts than are kept: not compared",
    "unanswered          records that the service has yet to handle",
    "log_is_cut          whether retention took the beginning of the log",
    "differences         count, and the first 100 as sentences in first",
];
const REDRIVEN: &[&str] = &["looked_at, appended, kept  dead letters: the first is the sum"];

/// What `bookend setup` takes besides the settings of `serve`.
#[derive(Args, Debug)]
pub(super) struct SetupArgs {
    /// Write what was done as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What `bookend verify` takes besides the settings of `serve`.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// Write the outcome as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What `bookend redrive` takes besides the settings of `serve`.
#[derive(Args, Debug)]
pub(super) struct RedriveArgs {
    /// Only dead letters with this code (repeatable); all without it
    #[arg(long, value_name = "CODE")]
    pub(super) code: Vec<DeadLetterCode>,

    /// Write what was done as one line of JSON
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
        help::exit_status(),
        help::environment("every setting of `serve`"),
        help::files(&[
            "./bookend-data    the embedded log and store, where --data-dir names no other",
        ]),
    ];
    let program = cli::program("bookend", ABOUT, Some(&librdkafka_version()))
        .long_about(LONG_ABOUT)
        .after_help(help::sections(&notes))
        .subcommand_required(true)
        .subcommand(with_settings(
            "serve",
            "Run the service (also without any command)",
            &[section(
                "Examples",
                &[
                    "bookend serve --listen 0.0.0.0:5000 --data-dir /var/lib/bookend",
                    "bookend serve --as-of 2019-05-13T12:00:00Z",
                ],
            )],
        ))
        .subcommand(with_args::<DemoArgs>(
            "demo",
            "Show the service at work: made-up data, the answers, and a service to play with",
            &[section("Example", &["bookend demo --sessions 1000 --once"])],
        ))
        .subcommand(with_args::<GenerateArgs>(
            "generate",
            "Make a data set of the original's shape: JSON lines, one event each",
            &[
                section(
                    "Examples",
                    &[
                        "bookend generate --sessions 1000 > events.ndjson",
                        "bookend generate --profile hostile | bookend load -",
                    ],
                ),
                section("Output with --json", GENERATED),
            ],
        ))
        .subcommand(with_args::<LoadArgs>(
            "load",
            "Deliver files of events to a running service, with a summary at the end",
            &[
                section("Example", &["bookend load events.ndjson --url http://127.0.0.1:5000"]),
                section("Output with --json", LOADED),
            ],
        ))
        .subcommand(with_both::<SetupArgs>(
            "setup",
            "Make the topics of Kafka and the tables of Cassandra, as far as they are missing",
            &[
                section(
                    "Example",
                    &[
                        "bookend setup --log kafka --kafka-brokers kafka:9092 \\",
                        "    --store cassandra --cassandra-nodes cassandra:9042",
                    ],
                ),
                section("Output with --json", SET_UP),
            ],
        ))
        .subcommand(with_both::<VerifyArgs>(
            "verify",
            "Compute every answer anew from the log, compare it with the store, print the ledger",
            &[
                section("Example", &["bookend verify --data-dir ./data"]),
                section("When", AT_REST),
                section("Output with --json", VERIFIED),
            ],
        ))
        .subcommand(with_both::<RedriveArgs>(
            "redrive",
            "Put dead letters back on the log, to be handled again",
            &[
                section("Example", &["bookend redrive --code contested --data-dir ./data"]),
                section("When", STOPPED),
                section("Output with --json", REDRIVEN),
            ],
        ));
    cli::packaging::with_commands(program)
}

/// A command that takes `T`.
fn with_args<T: Args>(name: &'static str, about: &'static str, notes: &[String]) -> Command {
    // Said last: `T` brings a description of itself, which is for who reads the code.
    T::augment_args(Command::new(name))
        .about(about)
        .long_about(None)
        .after_help(help::sections(notes))
}

/// A command that takes the settings of `serve`.
fn with_settings(name: &'static str, about: &'static str, notes: &[String]) -> Command {
    let settings = serve::settings();
    let notes = [notes, &[config::secrets_help(&settings)]].concat();
    Command::new(name).about(about).after_help(help::sections(&notes)).args(config::args(&settings))
}

/// A command that takes `T` and the settings of `serve`.
fn with_both<T: Args>(name: &'static str, about: &'static str, notes: &[String]) -> Command {
    T::augment_args(with_settings(name, about, notes)).about(about).long_about(None)
}
