//! The end of every `--help`, in sections: a title, and below it lines that are shown as they stand. A manual page shows the same
//! sections under the same titles.
//!
//! A line has at most 79 characters: what a narrow terminal breaks, nobody can read as a table.

/// How the programs end.
#[must_use]
pub fn exit_status() -> String {
    section(
        "Exit status",
        &[
            "0         done; a service: stopped by SIGTERM or Ctrl-C, all finished",
            "1         a failure, or a difference found: standard error says which",
            "64        wrong flags or configuration: all are told, and nothing was begun",
            "130, 143  as a shell says it: no service, and stopped by a signal",
            "A reader that leaves early, as `head` does, is no failure.",
        ],
    )
}

/// What of the environment every program looks at, beside its settings.
#[must_use]
pub fn environment(settings_of: &str) -> String {
    section(
        "Environment",
        &[
            &format!("BOOKEND_…  {settings_of}: --log-level is BOOKEND_LOG_LEVEL"),
            "NO_COLOR   set to anything, nothing is coloured; only a terminal ever is",
        ],
    )
}

/// What is at other places than the flags say.
#[must_use]
pub fn files(more: &[&str]) -> String {
    let config = "FILE of --config  settings in TOML, each key a flag's name: log-level = \"warn\"";
    section("Files", &[&[config][..], more].concat())
}

/// One section.
#[must_use]
pub fn section(title: &str, lines: &[&str]) -> String {
    lines.iter().fold(format!("{title}:"), |text, line| text + "\n  " + line)
}

/// Sections as one text.
#[must_use]
pub fn sections(sections: &[String]) -> String {
    sections.join("\n\n")
}

/// The title and the lines of each section of such a text.
pub fn read(text: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
    text.split("\n\n").filter_map(|section| {
        let (title, lines) = section.split_once(":\n")?;
        Some((title, lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line))))
    })
}
