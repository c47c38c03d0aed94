//! What README tells a newcomer to type does what it says.

use std::fs;

use crate::{data::project, seeds::curl, service::Service};

const HEADING: &str = "## The three questions";

/// The text of the section, up to the next of its rank.
fn section(readme: &str) -> Option<&str> {
    let heading = HEADING.trim_start_matches("## The ").to_lowercase();
    let is_it = |line: &&str| line.starts_with("## ") && line.to_lowercase().contains(&heading);
    let title = readme.lines().find(is_it)?;
    let behind = &readme[readme.find(title)? + title.len()..];
    Some(behind.split("\n## ").next().unwrap_or(behind))
}

/// The command lines of curl in the blocks marked `sh`, those that go on over several lines put together.
fn curl_lines(section: &str) -> Vec<String> {
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap_or(block));
    let mut commands: Vec<String> = Vec::new();
    for block in blocks {
        let mut open = false;
        for line in block.lines() {
            match commands.last_mut() {
                Some(command) if open => *command = format!("{command}\n{line}"),
                _ if line.starts_with("curl ") => commands.push(line.to_owned()),
                _ => continue,
            }
            open = commands.last().is_some_and(|command| command.ends_with('\\') || command.matches('\'').count() % 2 == 1);
        }
    }
    commands
}

#[test]
fn every_curl_line_of_the_readme_s_three_questions_works_as_it_stands() {
    let readme = fs::read_to_string(project().join("README.md")).expect("there is a README.md");
    let section = section(&readme).unwrap_or_else(|| panic!("README.md has no section {HEADING:?}"));
    let lines = curl_lines(section);
    assert!(lines.len() >= 3, "the section has a curl line for each question: {lines:?}");

    // The service that the section tells to start, or else the first seed's day.
    let as_of = section.split("--as-of").nth(1).and_then(|rest| rest.split_whitespace().next());
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", as_of.unwrap_or("2019-05-13T12:00:00Z")]);
    let batch = fs::read(project().join("data/seed-batch.json")).unwrap();
    assert_eq!(service.client().post("/user/batches", &[], &batch).unwrap().status, 200);
    service.wait_until_answered(8);
    for line in lines {
        let answer = curl(&service, &line);
        assert!(!answer.trim().is_empty() && !answer.contains("\"error\""), "{line}\n{answer}");
        // What one line sends, the next may ask about.
        let records = service.metrics().sum("bookend_ingest_events_total{code=\"\",outcome=\"accepted\"}");
        service.wait_until_answered(records as usize);
    }
}

#[test]
fn a_command_over_several_lines_is_read_whole_and_other_lines_are_left_alone() {
    let section = "Text.\n```sh\n$ cargo run\ncurl a \\\n  b\ncurl -d '[\n1]' c\n# d\n```\n```json\ncurl e\n```\n";
    assert_eq!(curl_lines(section), ["curl a \\\n  b", "curl -d '[\n1]' c"]);
    assert_eq!(super::readme::section("# A\n## The three questions\nx\n### y\n## B\nz"), Some("\nx\n### y"));
    assert_eq!(super::readme::section("# A\n## B\n"), None);
}
