//! The rules about where code belongs: reads every source of the workspace, and fails with a
//! message that explains the rule.
//!
//! It reads the tokens of a file, so comments do not matter and a path in a nested `use` is found.
//! It does not resolve types: a rule is about names.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/manifest.rs"]
mod manifest;
#[path = "tidy/room.rs"]
mod room;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;

use room::{ROOMS, Room, Seen};
use source::{ROOT, Source, WORKSPACE};

/// The most lines of production code of a file, and the most of the median file.
const LINES: (usize, usize) = (300, 120);

/// The most columns of a comment; rustfmt holds the same for code.
const COLUMNS: usize = 100;

/// Returns a message for each line of `source` that breaks one of `rooms`.
fn strangers(source: &Source, rooms: &[Room]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for room in rooms.iter().filter(|room| room.holds(&source.path)) {
        for (line, name) in source.names(room.seen) {
            if room.when.covers(source.is_test(line))
                && room.names.iter().any(|word| room.seen.matches(name, word))
            {
                found.insert((line, format!("{}:{line}: `{name}`: {}", source.path, room.teaches)));
            }
        }
    }
    found.into_iter().map(|(_, sentence)| sentence).collect()
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_line_stands_in_its_room() {
    assert_none(&WORKSPACE.iter().flat_map(|source| strangers(source, ROOMS)).collect::<Vec<_>>());
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let silent = WORKSPACE.iter().filter(|source| !source.text.starts_with("//!"));
    assert_none(
        &silent
            .map(|source| {
                format!(
                    "{}: begin with `//!`: what the file is, and what it never does",
                    source.path
                )
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_module_is_named_after_its_file() {
    let nameless = WORKSPACE.iter().filter(|source| source.path.ends_with("/mod.rs"));
    assert_none(
        &nameless
            .map(|source| {
                format!(
                    "{}: name the file like its module, so that an editor tab or a panic identifies it",
                    source.path
                )
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let (most, middle) = LINES;
    let mut lengths: Vec<_> = WORKSPACE
        .iter()
        .filter(|source| !source.is_test(1))
        .map(|source| (source.production_lines(), source.path.clone()))
        .collect();
    lengths.sort_unstable();
    let mut found: Vec<_> = lengths
        .iter()
        .filter(|(lines, _)| *lines > most)
        .map(|(lines, path)| format!("{path}: {lines} lines without tests; split files of over {most} lines by what they decide"))
        .collect();
    let median = lengths[lengths.len() / 2].0;
    if median > middle {
        found.push(format!(
            "half of all files have {median} lines or more; the limit of the median is {middle}"
        ));
    }
    assert_none(&found);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    assert_none(&circles::circles(WORKSPACE.iter()));
}

#[test]
fn comments_have_at_most_a_hundred_columns() {
    let comments = WORKSPACE.iter().flat_map(|source| {
        let comments = source.names(Seen::Text).filter(|(_, line)| line.starts_with("//"));
        let lines: Vec<_> = source.text.lines().collect();
        comments.filter(move |(number, _)| lines[number - 1].chars().count() > COLUMNS).map(
            move |(number, _)| {
                format!("{}:{number}: over {COLUMNS} columns: wrap the comment", source.path)
            },
        )
    });
    assert_none(&comments.collect::<Vec<_>>());
}

#[test]
fn crates_depend_only_along_the_arrows() {
    assert_none(&manifest::against_the_arrows(ROOT));
}

#[test]
fn every_crate_but_one_has_the_lints_of_the_workspace() {
    assert_none(&manifest::without_lints(ROOT));
}

#[test]
fn a_planted_stranger_is_found() {
    for room in ROOMS {
        let (path, text) = room.planted;
        let found = strangers(&Source::read(path, text), ROOMS);
        assert!(
            found.iter().any(|sentence| sentence.starts_with(&format!("{path}:"))
                && sentence.ends_with(room.teaches)),
            "{text} in {path} was to be found by the rule: {}; found: {found:?}",
            room.teaches
        );
    }
}

#[test]
fn what_stands_in_its_room_is_left_alone() {
    for (path, text) in [
        ("ingest/src/http.rs", "use warp::{Reply, http::StatusCode};"),
        ("ingest/src/http/body.rs", "use warp::http::HeaderMap;"),
        ("shared/src/clock.rs", "fn now() { std::time::SystemTime::now(); }"),
        ("shared/src/store/embedded/read.rs", "use fjall::Keyspace;"),
        ("ingest/src/metrics.rs", "const NAME: &str = \"bookend_records_total\";"),
        (
            "ingest/src/log.rs",
            "//! Not `rdkafka::` itself.\n/// Nor warp::Filter.\nfn f() { let lines = \"fjall::Keyspace\"; /* scylla::Session */ }",
        ),
        ("ingest/src/log.rs", "fn f<'a>(it: &'a str) -> char { '\"' }"),
        (
            "ingest/src/log.rs",
            "#[cfg(test)]\nmod tests { fn f() { let name = \"bookend_records_total\"; } }",
        ),
    ] {
        assert_none(&strangers(&Source::read(path, text), ROOMS));
    }
}

#[test]
fn a_line_is_found_at_its_number_and_through_a_nested_use() {
    let source =
        Source::read("ingest/src/log.rs", "use std::{\n    io,\n    env::{self, VarError},\n};\n");
    let found = strangers(&source, ROOMS);
    assert_eq!(
        found
            .iter()
            .filter(|sentence| sentence.starts_with("ingest/src/log.rs:3: `std::env"))
            .count(),
        found.len()
    );
    assert!(!found.is_empty());
}

#[test]
fn a_dependency_against_the_arrows_is_found() {
    let found = manifest::strangers(
        "query-api",
        "[dev-dependencies]\nwarp = \"0.4\"\ningest = { path = \"../ingest\" }\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`ingest`"), "{found:?}");
    let support = |section| format!("[{section}]\ntest-support.workspace = true\n");
    assert!(manifest::strangers("ingest", &support("dev-dependencies")).is_empty());
    assert_eq!(manifest::strangers("ingest", &support("dependencies")).len(), 1);
}

#[test]
fn only_the_item_under_the_attribute_is_a_test() {
    let source = Source::read(
        "ingest/src/log.rs",
        "//! A.\n#[cfg(test)]\nuse a::{b, c};\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\nfn g() {}\n\
         impl A {\n    #[cfg(all(test, unix))]\n    fn h() {}\n    fn i() {}\n}\n\
         struct B {\n    #[cfg(test)]\n    pub(super) fault: Map<u8, u8>,\n    dir: u8,\n}\n",
    );
    let tests: Vec<_> = (1..=18).filter(|line| source.is_test(*line)).collect();
    assert_eq!(tests, [2, 3, 5, 6, 7, 10, 11, 15, 16]);
    assert_eq!(source.production_lines(), 9);
    assert!(Source::read("ingest/tests/log.rs", "//! A.\n").is_test(1));
    assert!(Source::read("ingest/src/log/tests.rs", "//! A.\n").is_test(1));
}

/// The circles among planted files of the crate `planted`.
fn planted(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| Source::read(&format!("planted/src/{name}"), text))
        .collect();
    circles::circles(sources.iter())
}

#[test]
fn a_planted_circle_of_siblings_is_found() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use crate::b::{self, Two};\npub struct One(Two);\n"),
        ("b.rs", "pub struct Two;\nfn f() { super::a::g(); }\n"),
    ];
    let found = planted(&files);
    assert!(
        found.len() == 1
            && found[0].starts_with("2 files")
            && found[0].contains("planted::b → planted::a: g"),
        "{found:?}"
    );
    // Without the arrow back it is not a circle, and code of tests makes no arrow.
    let test = "pub struct Two;\n#[cfg(test)]\nmod tests { fn f() { crate::a::g(); } }\n";
    assert_none(&planted(&[files[0], files[1], ("b.rs", test)]));
}

#[test]
fn a_planted_circle_through_a_re_export_is_found() {
    let files = [
        ("lib.rs", "pub mod store;\nmod client;\n"),
        ("store.rs", "pub use self::rows::Row as Line;\nmod rows;\n"),
        ("store/rows.rs", "pub struct Row(crate::client::Client);\n"),
        ("client.rs", "use crate::store;\npub struct Client;\nfn f(_: store::Line) {}\n"),
    ];
    let found = planted(&files);
    assert!(
        found.len() == 1 && found[0].contains("planted::client → planted::store::rows: Row"),
        "{found:?}"
    );
    // The re-export alone makes no arrow.
    assert!(!found[0].contains("planted::store →"), "{found:?}");
}
