//! The output and the exit statuses of the commands.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    data::{ENDING_AT, generate, joined},
    service::{BOOKEND, Service, eventually, serve},
};

pub(crate) fn bookend(args: &[&str]) -> Output {
    Command::new(BOOKEND).env_clear().args(args).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for the exit of a service that must not start.
fn end_of(mut command: Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it ends by itself", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

/// Returns the help of `bookend` with `args`, for a terminal with `columns` columns.
fn help(args: &[&str], columns: &str) -> String {
    let help =
        Command::new(BOOKEND).env_clear().env("COLUMNS", columns).args(args).output().unwrap();
    assert_eq!(help.status.code(), Some(0), "{args:?}: {}", said(&help));
    String::from_utf8(help.stdout).unwrap()
}

/// Every command but `help`, as listed by `--help`.
pub(crate) fn commands() -> Vec<String> {
    listed(&help(&["--help"], "200"))
}

/// Every command that does something: `key new`, but not `key`.
fn whole_commands() -> Vec<String> {
    let whole = |command: String| {
        let inner = listed(&help(&[&command, "--help"], "200"));
        let whole: Vec<_> = inner.iter().map(|inner| format!("{command} {inner}")).collect();
        if whole.is_empty() { vec![command] } else { whole }
    };
    commands().into_iter().flat_map(whole).collect()
}

/// The commands but `help` in a text of help.
fn listed(help: &str) -> Vec<String> {
    let behind = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names = behind.lines().take_while(|line| !line.is_empty());
    let names =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn help_is_an_answer_for_the_program_and_for_every_command() {
    let names = whole_commands();
    let known = [
        "serve",
        "demo",
        "generate",
        "load",
        "setup",
        "verify",
        "redrive",
        "health",
        "config print",
        "key new",
        "key list",
        "key revoke",
        "completions",
        "man",
    ];
    for command in known {
        assert!(names.iter().any(|name| name == command), "{names:?}");
    }
    for command in &names {
        let words: Vec<_> = command.split(' ').collect();
        let text = help(&[&words[..], &["--help"]].concat(), "80");
        assert!(text.contains(&format!("Usage: bookend {command}")), "{command}");
        assert!(text.contains("Example"), "{command} shows how it is used");
        assert_eq!(help(&[&["help"], &words[..]].concat(), "80"), text);
    }
    // A command of an operator lists its own arguments first, and no setting that it does not use.
    let text = help(&["verify", "--help"], "80");
    assert!(text.contains("--data-dir") && !text.contains("--listen"), "{text}");
    assert!(text.find("--json") < text.find("--as-of"), "{text}");
    let text = help(&["--help"], "80");
    assert!(text.contains("Usage: bookend <COMMAND>"), "{text}");
    assert!(text.contains("Exit status:\n  0 "), "{text}");
    // The doc comment of an argument type must not replace the description of a command.
    assert!(text.contains("Send files of events") && !text.contains("What to"), "{text}");
}

#[test]
fn help_fits_a_terminal_of_eighty_columns() {
    let all = [commands(), whole_commands()].concat();
    let all = all.iter().map(|command| command.split(' ').chain(["--help"]).collect());
    for args in all.chain([vec!["--help"]]) {
        let (text, wide) = (help(&args, "80"), help(&args, "300"));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
        // The tables at the end must not be wrapped.
        let tables = |text: &str| text.rsplit_once("\n\nExample").unwrap().1.to_owned();
        assert_eq!(tables(&text), tables(&wide));
    }
}

/// The most characters of a line of help, and of the help text of a flag.
const HELP_COLUMNS: usize = 100;

#[test]
fn every_line_of_help_has_at_most_a_hundred_characters() {
    let commands = commands();
    let commands = commands.iter().map(String::as_str);
    for command in commands.map(|command| vec![command]).chain([vec![]]) {
        for flag in ["-h", "--help"] {
            let text = help(&[&command[..], &[flag]].concat(), &HELP_COLUMNS.to_string());
            for line in text.lines() {
                assert!(line.chars().count() <= HELP_COLUMNS, "{command:?} {flag}: {line}");
            }
        }
    }
    // The text of a flag stays one line, without the variable that clap appends.
    let mut found = Vec::new();
    for (program, settings) in standalone::cli::program_settings() {
        for setting in settings {
            let default = if setting.default.is_empty() {
                String::new()
            } else {
                format!(" [default: {}]", setting.default)
            };
            let text = format!("{}{default}", setting.help);
            if text.chars().count() > HELP_COLUMNS {
                found.push(format!("{program} --{}: {text}", setting.name));
            }
        }
    }
    // So do the arguments that are not settings: on a wide terminal each is one line.
    for command in whole_commands() {
        let args: Vec<_> = command.split(' ').chain(["-h"]).collect();
        let text = help(&args, "300");
        let long = text.lines().filter(|line| !line.contains("[env: BOOKEND_"));
        let long = long.map(|line| line.trim_start().rsplit("  ").next().unwrap_or(line));
        let long = long.filter(|text| text.chars().count() > HELP_COLUMNS);
        found.extend(long.map(|text| format!("{command}: {text}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_slip_of_the_hand_is_told_with_what_was_meant() {
    for (args, meant) in [
        (&["sevre"][..], "'serve'"),
        (&["serve", "--lisen", "127.0.0.1:1"], "'--listen'"),
        (&["--listen", "127.0.0.1:1"], "bookend serve --listen"),
        (&["serve", "--port", "6000"], "--listen 127.0.0.1:5000"),
        (&["serve", "--log", "kafak"], "did you mean \"kafka\"?"),
        (&["load", "--jsn", "-"], "'--json'"),
        (&["generate", "--profile", "hostil"], "'hostile'"),
    ] {
        let output = bookend(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(said(&output).contains(meant), "{args:?}: {}", said(&output));
    }
}

#[test]
fn what_the_program_does_not_know_is_a_mistake_with_the_status_of_mistakes() {
    for args in [
        &["serve", "--no-such-flag"][..],
        &["--no-such-flag"],
        &["no-such-command"],
        &["--listen", "127.0.0.1:0"],
        &["generate", "--sessions", "0"],
        &["generate", "--ending-at", "yesterday"],
        &["load"],
        &["serve", "--listen"],
        &["verify", "--no-such-flag"],
    ] {
        let output = bookend(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", said(&output));
        assert!(said(&output).starts_with("error: "), "{args:?}: {}", said(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn every_mistake_of_a_configuration_is_listed_with_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bookend.toml");
    std::fs::write(&file, "max-body = \"many\"\nno-such-key = 1\nlog-partitions = 65\n").unwrap();
    let mut command = serve(
        &dir.path().join("data"),
        &["--as-of", "yesterday", "--log-level", "info", "--log", "papyrus"],
    );
    command
        .arg("--config")
        .arg(&file)
        .env("BOOKEND_QUOTA", "-1")
        .env("BOOKEND_DRAIN_TIMEOUT", "soon")
        .env("BOOKEND_MAX_BODDY", "2MiB")
        .env("BOOKEND_PORT", "tcp://10.0.0.1:5000");
    let output = end_of(command);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for mistake in [
        "no-such-key",
        "\"many\"",
        "\"65\"",
        "--as-of: \"yesterday\"",
        "--log: \"papyrus\"",
        "BOOKEND_QUOTA: \"-1\"",
        "BOOKEND_DRAIN_TIMEOUT: \"soon\"",
        "BOOKEND_MAX_BODDY is not a setting and is ignored; did you mean BOOKEND_MAX_BODY?",
    ] {
        assert_eq!(
            text.lines().filter(|line| line.contains(mistake)).count(),
            1,
            "{mistake} in\n{text}"
        );
    }
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_a_warning_and_one_of_kubernetes_is_not() {
    let data = tempfile::tempdir().unwrap();
    let mut command = serve(data.path(), &[]);
    command.env("BOOKEND_LISTEEN", "127.0.0.1:1").env("BOOKEND_PORT", "tcp://10.0.0.1:5000");
    command.env("BOOKEND_SERVICE_PORT", "5000").env("BOOKEND_PORT_5000_TCP_PORT", "5000");
    let service = Service::run(command);
    let said = service.said();
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("did you mean")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(warnings[0].contains("\"WARN\"") && warnings[0].contains("BOOKEND_LISTEN?"), "{said}");
    service.stop();
}

/// All programs may run in one environment.
#[test]
fn the_variables_of_one_program_are_no_slip_of_another() {
    let programs = standalone::cli::program_settings();
    let mut variables = vec!["BOOKEND_API_KEY".to_owned(), "BOOKEND_API_KEY_FILE".to_owned()];
    for (_, settings) in &programs {
        variables.extend(settings.iter().map(shared::config::Setting::variable));
    }
    for (program, _) in &programs {
        let mut command = Command::new(crate::apart::path_of(program));
        command.env_clear().envs(variables.iter().map(|name| (name, "")));
        command.args((*program == "bookend").then_some("serve")).args(["--log-level", "loud"]);
        let output = end_of(command);
        assert!(!said(&output).contains("is not a setting"), "{program}: {}", said(&output));
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    // A word alone would be the name of a target, and silence all others.
    for filter in ["ingest=loud", "loud", "info,loud", ""] {
        let output = end_of(serve(dir.path(), &["--log-level", filter]));
        assert_eq!(output.status.code(), Some(64), "{filter}: {}", said(&output));
        let text = said(&output);
        assert!(text.starts_with("bookend: --log-level: "), "it says which setting: {text}");
        assert!(text.contains("expected off, error, warn, info, debug, trace, or a"), "{text}");
    }
}

#[test]
fn a_second_process_on_one_data_directory_says_so_and_harms_nothing() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &[]);
    let second = end_of(serve(data.path(), &[]));
    assert_eq!(second.status.code(), Some(1));
    let text = said(&second);
    assert!(text.contains("in use by another process"), "{text}");
    assert!(text.contains(&data.path().display().to_string()), "{text}");
    assert_eq!(service.client().get("/readyz").unwrap().status, 200);
    service.stop();
    Service::start(data.path(), &[]).stop();
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let (taken, data) = (TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["serve", "--listen", &address, "--data-dir"]).arg(data.path());
    let mut demo = Command::new(BOOKEND);
    demo.env_clear().args(["demo", "--listen", &address]);
    for command in [command, demo] {
        let output = end_of(command);
        assert_eq!(output.status.code(), Some(1));
        let text = said(&output);
        let in_use = format!("bookend: cannot listen on {address}: Address already in use");
        assert!(text.starts_with(&in_use), "{text}");
        assert!(text.contains("; name a free port, for example --listen 127.0.0.1:"), "{text}");
        assert_eq!(text.matches("in use").count(), 1, "{text}");
    }
}

#[test]
fn a_name_or_a_port_alone_is_an_address_to_listen_on() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["serve", "--log-format", "json", "--listen", "localhost:0"]);
    command.arg("--data-dir").arg(data.path());
    Service::run(command).stop();

    // Every address, which needs keys or --access open.
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["serve", "--log-format", "json", "--listen", ":0", "--data-dir"]);
    command.arg(data.path());
    let output = end_of(command);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).starts_with("bookend: --listen: \":0\" is not valid: other machines"));
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["serve", "--log-format", "json", "--listen", ":0"]);
    command.args(["--access", "open", "--data-dir"]).arg(data.path());
    Service::run(command).stop();
}

#[test]
fn a_log_without_brokers_is_one_line_with_their_address_and_the_flag() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let flags = ["--log", "kafka", "--kafka-brokers", &closed];
    // It serves although there is no broker.
    let service = Service::begin(serve(data.path(), &flags));
    let said = service.said();
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    let text =
        format!("no broker can be reached at {closed}: Connection refused; check --kafka-brokers");
    assert!(warnings[0].contains(&text), "{said}");
    service.stop();
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let output = end_of(serve(&file, &[]));
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(&format!(" in {} cannot be opened: ", file.display())), "{text}");
    assert_eq!(text.matches("os error").count(), 1, "{text}");
}

#[test]
fn without_a_command_the_program_prints_its_help_and_serves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(BOOKEND);
    command.env_clear().env("BOOKEND_LISTEN", "127.0.0.1:0").current_dir(dir.path());
    let output = end_of(command);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(output.stdout.is_empty());
    let text = said(&output);
    assert!(text.contains("Usage: bookend <COMMAND>") && text.contains("  serve "), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it creates nothing");
}

/// The flags that `bookend` with `args` lists.
fn flags(args: &[&str]) -> Vec<String> {
    let text = help(args, "300");
    let flags = text.lines().filter_map(|line| {
        let flag = line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, ");
        flag.strip_prefix("--")?.split([' ', '[', '=']).next()
    });
    flags.map(str::to_owned).collect()
}

#[test]
fn the_short_help_has_few_flags_and_the_full_help_those_that_the_command_reads() {
    let common = ["keys", "access", "listen", "log-level", "log", "store", "data-dir", "config"];
    let short = flags(&["serve", "-h"]);
    for flag in common.iter().chain(&["kafka-brokers", "cassandra-nodes"]) {
        assert!(short.iter().any(|shown| shown == flag), "{flag}: {short:?}");
    }
    assert!(short.len() <= 11, "{short:?}");
    let all = flags(&["serve", "--help"]);
    let settings = standalone::serve::settings();
    for setting in settings.iter().filter(|setting| !setting.is_secret()) {
        assert!(all.iter().any(|shown| shown == setting.name), "{}: {all:?}", setting.name);
    }
    for (command, read, unread) in [
        ("setup", "kafka-replication", "listen keys query-deadline tls-cert data-dir as-of"),
        ("verify", "data-dir", "listen keys query-deadline tls-cert kafka-replication"),
        ("redrive", "data-dir", "listen keys query-deadline tls-cert kafka-replication"),
    ] {
        let all = flags(&[command, "--help"]);
        assert!(all.iter().any(|shown| shown == read), "{command}: {all:?}");
        assert!(all.iter().any(|shown| shown == "json"), "{command}: {all:?}");
        let short = flags(&[command, "-h"]);
        assert!(short.iter().any(|shown| shown == "json") && short.len() <= 10, "{short:?}");
        for flag in unread.split(' ') {
            assert!(!all.iter().any(|shown| shown == flag), "{command} --{flag}");
            assert!(!short.iter().any(|shown| shown == flag), "{command} --{flag}");
        }
    }
}

#[test]
fn a_setting_with_few_values_lists_them() {
    for (flag, values) in [
        ("--log", "embedded, kafka"),
        ("--store", "embedded, cassandra"),
        ("--log-format", "human, json"),
        ("--kafka-security", "plaintext, tls, sasl-plaintext, sasl-tls"),
        ("--kafka-mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("--kafka-group-protocol", "classic, consumer"),
        ("--access", "open"),
    ] {
        let text = help(&["serve", "--help"], "300");
        let shown =
            text.split(&format!("{flag} <")).nth(1).unwrap().split("\n      --").next().unwrap();
        assert!(shown.contains(&format!("[possible values: {values}]")), "{flag}: {shown}");
    }
}

#[test]
fn loading_what_cannot_be_read_or_delivered_fails_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.ndjson");
    let output = bookend(&["load", missing.to_str().unwrap(), "--url", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("missing.ndjson"), "{}", said(&output));

    // No process listens on a port that was just released.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = dir.path().join("some.ndjson");
    std::fs::write(&file, joined(&generate("clean", 10, 1))).unwrap();
    let url = format!("http://{address}");
    let output = bookend(&["load", file.to_str().unwrap(), "--tries", "1", "--url", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("gave up"), "{}", said(&output));
}

#[test]
fn health_says_whether_the_configured_service_is_ready() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &[]);
    let address = service.client().0.to_string();
    let health = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(BOOKEND);
        command.env_clear().arg("health").args(args).envs(variables.iter().copied());
        command.output().unwrap()
    };
    let everywhere = format!("0.0.0.0:{}", service.client().0.port());
    let url = format!("http://{address}/");
    let file = data.path().join("file.toml");
    std::fs::write(&file, format!("listen = \"{address}\"\nrole = \"http\"\n")).unwrap();
    for (args, variables) in [
        (&["--url", &url][..], &[][..]),
        (&["--listen", &address], &[]),
        (&["--config", file.to_str().unwrap()], &[]),
        (&[], &[("BOOKEND_LISTEN", everywhere.as_str())]),
        (&[], &[("BOOKEND_LISTEN", "127.0.0.1:9"), ("BOOKEND_OPERATIONS_LISTEN", &address)]),
    ] {
        let output = health(args, variables);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        assert_eq!(output.stdout, b"ready\n");
    }
    service.stop();
    let output = health(&["--listen", &address], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(&format!("http://{address}/readyz cannot be reached: ")), "{text}");
    let output = health(&["--listen", "nowhere"], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));

    // It answers, but its store is unusable.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let flags = ["--store", "cassandra", "--cassandra-nodes", &closed];
    let service = Service::begin(serve(data.path(), &flags));
    let output = health(&["--url", &format!("http://{}", service.client().0)], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("returned 503") && said(&output).contains(&closed));
    service.stop();
}

#[test]
fn the_configuration_is_printed_with_sources_and_without_secrets_or_with_all_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bookend.toml");
    std::fs::write(&file, "max-body = \"2MiB\"\nquota = 7\n").unwrap();
    let print = |args: &[&str]| {
        let mut command = Command::new(BOOKEND);
        command.env_clear().args(["config", "print", "--config"]).arg(&file).args(args);
        command.env("BOOKEND_LOG", "kafka").env("BOOKEND_KAFKA_PASSWORD", "hush");
        command.env("BOOKEND_KAFKA_PROPERTY", "client.id=hush");
        command.env("BOOKEND_LISTEEN", "x").current_dir(dir.path()).output().unwrap()
    };
    let output = print(&["--drain-window", "7s"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("did you mean BOOKEND_LISTEN?"), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let path = file.display();
    for line in [
        "# listen = \"127.0.0.1:5000\"  # default".to_owned(),
        "log = \"kafka\"  # BOOKEND_LOG".to_owned(),
        "drain-window = \"7s\"  # --drain-window".to_owned(),
        format!("max-body = \"2MiB\"  # {path}: max-body"),
        format!("quota = 7  # {path}: quota"),
        "# kafka-password = [redacted]  # BOOKEND_KAFKA_PASSWORD".to_owned(),
        "# kafka-property = [redacted]  # BOOKEND_KAFKA_PROPERTY".to_owned(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "it creates nothing");

    let output = print(&["--listen", "0.0.0.0:1", "--max-inflight", "much"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(output.stdout.is_empty());
    let text = said(&output);
    assert!(text.contains("--listen: ") && text.contains("--max-inflight: "), "{text}");
}

/// Loads the hostile profile into a service, waits until it is processed, and stops the service.
fn loaded(data: &Path) {
    let service = Service::start(data, &["--as-of", ENDING_AT]);
    let lines = generate("hostile", 300, 5);
    let mut accepted = 0;
    for batch in lines.chunks(500) {
        let reply =
            service.client().post("/v1/events", &[crate::client::LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200);
        accepted += usize::try_from(reply.json()["accepted"].as_u64().unwrap()).unwrap();
    }
    service.wait_until_answered(accepted);
    service.stop();
}

#[test]
fn verify_finds_no_difference_after_a_service_has_ended_and_refuses_while_one_runs() {
    let data = tempfile::tempdir().unwrap();
    loaded(data.path());
    let dir = data.path().to_str().unwrap();
    let verify = ["verify", "--as-of", ENDING_AT, "--data-dir", dir];
    let output = bookend(&verify);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        said(&output)
    );

    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let output = bookend(&verify);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("in use by another process"), "{}", said(&output));
    service.stop();
}
