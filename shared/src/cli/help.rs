//! The sections at the end of every `--help`: a title, then lines that are printed unchanged. A
//! manual page has the same sections.
//!
//! A line has at most 79 characters, so that a terminal of 80 columns does not break a table.

use clap::Command;

/// The exit statuses of every program, and `more`.
#[must_use]
pub fn exit_status(more: &[&str]) -> String {
    let every = [
        "0         success; for a service: stopped by SIGTERM or Ctrl-C after draining",
        "1         failure; standard error has the details",
        "64        wrong flags or configuration; nothing ran",
    ];
    section("Exit status", &[&every, more].concat())
}

/// The environment variables of every program. `settings` names the settings among them.
#[must_use]
pub fn environment(settings: &str) -> String {
    section(
        "Environment",
        &[
            &format!("BOOKEND_…  {settings}, for example BOOKEND_LOG_LEVEL"),
            "NO_COLOR   if set, disables colours; only a terminal gets colours",
        ],
    )
}

/// The files of every program, and `more`.
#[must_use]
pub fn files(more: &[&str]) -> String {
    let config = "FILE of --config  settings in TOML, keys are flag names: log-level = \"warn\"";
    section("Files", &[&[config][..], more].concat())
}

/// Returns one section.
#[must_use]
pub fn section(title: &str, lines: &[&str]) -> String {
    lines.iter().fold(format!("{title}:"), |text, line| text + "\n  " + line)
}

/// Joins sections into one text.
#[must_use]
pub fn sections(sections: &[String]) -> String {
    sections.join("\n\n")
}

/// Puts `notes` at the end of the help of `command`: `-h` has the first one, `--help` has all.
#[must_use]
pub fn with_notes(command: Command, notes: &[String]) -> Command {
    let first = notes.first().cloned().unwrap_or_default();
    command.after_help(first).after_long_help(sections(notes))
}

/// Splits such a text into sections: the title and the lines of each.
pub fn read(text: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
    text.split("\n\n").filter_map(|section| {
        let (title, lines) = section.split_once(":\n")?;
        Some((title, lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line))))
    })
}
