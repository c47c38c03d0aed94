//! What README tells a newcomer to type does what it says.

use std::fs;

use serde_json::Value;

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

/// A block of the section: what it is marked as, and its text.
type Block<'a> = (&'a str, &'a str);

fn blocks(section: &str) -> Vec<Block<'_>> {
    let fenced = section.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// The command lines of curl in a block, those that go on over several lines put together.
fn curl_lines(block: &str) -> Vec<String> {
    let (mut commands, mut open) = (Vec::<String>::new(), false);
    for line in block.lines() {
        match commands.last_mut() {
            Some(command) if open => *command = format!("{command}\n{line}"),
            _ if line.starts_with("curl ") => commands.push(line.to_owned()),
            _ => continue,
        }
        open = commands.last().is_some_and(|command| {
            command.ends_with('\\') || command.matches('\'').count() % 2 == 1
        });
    }
    commands
}

/// An answer without the ends of its window, which move with the clock.
fn timeless(answer: &str) -> Value {
    let mut answer =
        serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    if let Value::Object(answer) = &mut answer {
        answer.remove("from");
        answer.remove("to");
    }
    answer
}

#[test]
fn every_curl_line_of_the_readme_s_three_questions_works_as_it_stands() {
    let readme = fs::read_to_string(project().join("README.md")).expect("there is a README.md");
    let section =
        section(&readme).unwrap_or_else(|| panic!("README.md has no section {HEADING:?}"));
    // The service that the section tells to start, or else the first seed's day.
    let as_of = section.split("--as-of").nth(1).and_then(|rest| rest.split_whitespace().next());
    let data = tempfile::tempdir().unwrap();
    let service =
        Service::start(data.path(), &["--as-of", as_of.unwrap_or("2019-05-13T12:00:00Z")]);
    let batch = fs::read(project().join("data/seed-batch.json")).unwrap();
    assert_eq!(service.client().post("/user/batches", &[], &batch).unwrap().status, 200);
    service.wait_until_answered(8);
    let (mut asked, mut last) = (0, String::new());
    for (mark, text) in blocks(section) {
        if mark == "json" {
            assert_eq!(
                timeless(&last),
                timeless(text),
                "the answer that is shown is the answer that is given"
            );
        }
        for line in if mark == "sh" { curl_lines(text) } else { Vec::new() } {
            last = curl(&service, &line);
            assert!(!last.trim().is_empty() && !last.contains("\"error\""), "{line}\n{last}");
            asked += 1;
            // What one line sends, the next may ask about.
            let records = service
                .metrics()
                .sum("bookend_ingest_events_total{code=\"\",outcome=\"accepted\"}");
            service.wait_until_answered(records as usize);
        }
    }
    assert!(asked >= 3, "the section has a curl line for each question");
}

#[test]
fn a_command_over_several_lines_is_read_whole_and_other_lines_are_left_alone() {
    let section = "Text.\n```sh\n$ cargo run\ncurl a \\\n  b\ncurl -d '[\n1]' c\n# d\n```\n\n```json\ncurl e\n```\nText.";
    let [(sh, commands), (json, shown)] = blocks(section)[..] else {
        panic!("{:?}", blocks(section))
    };
    assert_eq!((sh, json, shown), ("sh", "json", "curl e"));
    assert_eq!(curl_lines(commands), ["curl a \\\n  b", "curl -d '[\n1]' c"]);
    assert_eq!(self::section("# A\n## The three questions\nx\n### y\n## B\nz"), Some("\nx\n### y"));
    assert_eq!(self::section("# A\n## B\n"), None);
}
