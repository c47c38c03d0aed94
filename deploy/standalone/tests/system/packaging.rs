//! The output of the programs that packages include: versions, shell completions and manual pages.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::{
    apart::path_of,
    command_line::{bookend, commands, said},
    service::{BOOKEND, Service},
};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];
/// The roff requests that a page may use. Readers of manual pages ignore a misspelt request
/// silently.
const REQUESTS: [&str; 12] =
    ["TH", "SH", "TP", "RS", "RE", "IP", "PP", "br", "nf", "fi", "ie", "nh"];

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(path_of(program)).env_clear().args(args).output().unwrap();
    written(output, args)
}

fn written(output: Output, args: &[&str]) -> String {
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
    assert!(output.stderr.is_empty(), "{args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this machine has the program `name`.
fn has(name: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {name} >&2")])
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn the_long_version_says_what_the_metrics_say_of_the_build() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &[]);
    let metrics = service.client().get("/metrics").unwrap().text();
    service.stop();
    let build = metrics.lines().find(|line| line.starts_with("bookend_build_info{")).unwrap();
    let label =
        |name: &str| build.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let (version, commit, librdkafka) = (label("version"), label("commit"), label("librdkafka"));
    assert!(librdkafka.starts_with(|first: char| first.is_ascii_digit()), "{build}");

    for program in ["bookend", "ingest"] {
        let long = format!("{program} {version} (commit {commit}, librdkafka {librdkafka})\n");
        assert_eq!(run(program, &["--version"]), long);
        assert_eq!(run(program, &["-V"]), format!("{program} {version}\n"));
    }
    // It does not link librdkafka.
    assert_eq!(
        run("query-api", &["--version"]),
        format!("query-api {version} (commit {commit})\n")
    );
}

/// The completions that bash offers for the last of `words`.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let ask = r#"
        source "$1" && complete -p bookend >/dev/null || exit 3
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _bookend bookend "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output =
        Command::new("bash").args(["--norc", "-c", ask, "bash"]).arg(script).args(words).output();
    let text = written(output.unwrap(), words);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("bookend");
    std::fs::write(&script, run("bookend", &["completions", "bash"])).unwrap();
    assert_eq!(offered(&script, &["bookend", "ser"]), ["serve"]);
    assert_eq!(offered(&script, &["bookend", "load", "--js"]), ["--json"]);
    assert_eq!(offered(&script, &["bookend", "key", "rev"]), ["revoke"]);
    assert_eq!(offered(&script, &["bookend", "key", "new", "--ri"]), ["--rights"]);
    assert_eq!(offered(&script, &["bookend", "serve", "--data"]), ["--data-dir"]);
    assert_eq!(offered(&script, &["bookend", "serve", "--store", "c"]), ["cassandra"]);
    assert_eq!(offered(&script, &["bookend", "serve", "--log-format", ""]), ["human", "json"]);
    assert_eq!(offered(&script, &["bookend", "generate", "--profile", "h"]), ["hostile"]);
}

#[test]
fn completions_for_every_shell_know_every_command_and_its_flags() {
    for shell in SHELLS {
        let script = run("bookend", &["completions", shell]);
        for word in
            commands().iter().map(String::as_str).chain(["data-dir", "kafka-brokers", "json"])
        {
            assert!(script.contains(word), "{word} for {shell}");
        }
        for program in ["ingest", "query-api"] {
            assert!(
                run(program, &["completions", shell]).contains("cassandra-nodes"),
                "{program} for {shell}"
            );
        }
    }
    let unknown = bookend(&["completions", "command.com"]);
    assert_eq!(unknown.status.code(), Some(64), "{}", said(&unknown));
}

/// The faults of a manual page.
fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let request = line[1..].split_whitespace().next().unwrap_or_default();
        if !REQUESTS.contains(&request) && !line.starts_with(".el") {
            faults.push(format!("no such request: {line}"));
        }
    }
    let count = |request: &str| page.lines().filter(|line| *line == request).count();
    if count(".nf") != count(".fi") {
        faults.push("a table without an end".to_owned());
    }
    if has("groff") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("page.1");
        std::fs::write(&file, page).unwrap();
        let read = ["-K", "utf8", "-Tutf8", "-ww", "-man", "-z"];
        let output = Command::new("groff").args(read).arg(&file).output().unwrap();
        faults.extend(said(&output).lines().map(str::to_owned));
    }
    faults
}

#[test]
fn a_page_with_a_fault_is_found() {
    let page = run("bookend", &["man"]);
    assert!(faults(&page).is_empty(), "{:?}", faults(&page));
    assert_eq!(faults(&page.replacen(".fi\n", "", 1)).len(), 1);
    assert!(!faults(&page.replacen(".SH", ".HS", 1)).is_empty());
}

#[test]
fn there_is_a_page_for_the_program_and_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    assert_eq!(run("bookend", &["man", "--dir", pages.to_str().unwrap()]), "");
    let page = |name: &str| {
        std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let main = page("bookend.1");
    let of_keys = page("bookend-key.1");
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "VERSION",
    ] {
        assert_eq!(
            main.lines().filter(|line| line.replace('"', "") == format!(".SH {section}")).count(),
            1,
            "{section}"
        );
    }
    let of_config = page("bookend-config.1");
    let inner = ["key-new", "key-list", "key-revoke", "config-print"].map(str::to_owned);
    for command in commands().into_iter().chain(inner.clone()) {
        let page = page(&format!("bookend-{command}.1"));
        assert!(faults(&page).is_empty(), "{command}: {:?}", faults(&page));
        assert!(page.lines().any(|line| line == ".nh"), "{command}: names must not be hyphenated");
        let above = match command.split_once('-') {
            Some(("key", _)) => &of_keys,
            Some(_) => &of_config,
            None => &main,
        };
        assert!(
            above.replace('\\', "").contains(&format!("bookend-{command}(1)")),
            "{command} is not named in {above}"
        );
        assert_eq!(page, run("bookend", &["man", &command]), "one page and all pages are the same");
    }
    assert_eq!(std::fs::read_dir(&pages).unwrap().count(), 1 + commands().len() + inner.len());
    assert!(page("bookend-serve.1").replace('\\', "").contains("BOOKEND_DATA_DIR"));
    for program in ["ingest", "query-api"] {
        let page = run(program, &["man"]);
        assert!(faults(&page).is_empty(), "{program}: {:?}", faults(&page));
        assert!(
            page.contains("EXIT STATUS") && page.replace('\\', "").contains("BOOKEND_LOG_LEVEL")
        );
    }
}

#[test]
fn a_page_that_there_is_not_is_a_mistake() {
    for args in [&["man", "serves"][..], &["man", "serve", "--dir", "pages"]] {
        let output = Command::new(BOOKEND).env_clear().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    }
    assert!(said(&bookend(&["man", "serves"])).contains("'serve'"), "it suggests the nearest");
}
