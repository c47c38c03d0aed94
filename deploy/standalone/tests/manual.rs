//! The documents agree with the programs: the settings table of the operations manual is generated
//! from the code, links lead to files and headings, and ARCHITECTURE names files that exist.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use shared::config::Setting;

const MANUAL: &str = "deploy/README.md";
const BEGIN: &str = "cargo test -p standalone --test manual settings` -->\n";
const END: &str = "<!-- end of settings -->";

/// The documents whose links are checked.
const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "data/README.md",
    MANUAL,
    "deploy/bench/README.md",
    "fuzz/README.md",
    "query-api/pages/vendor/uplot/README.md",
    "specification/README.md",
];

/// The folders with sources.
const CRATES: [&str; 4] = ["deploy/standalone", "ingest", "query-api", "shared"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The settings of each program, under the letter that the table uses.
fn programs() -> [(char, Vec<Setting>); 3] {
    [
        ('B', standalone::serve::settings()),
        ('I', ingest::config::program_settings()),
        ('Q', query_api::config::program_settings()),
    ]
}

/// A row of the table: a setting, and its default in each program that has it.
struct Row {
    setting: Setting,
    defaults: Vec<(char, &'static str)>,
}

impl Row {
    fn line(&self) -> String {
        let Self { setting, defaults } = self;
        let name = match setting.is_secret() {
            true => setting.variable(),
            false => format!("--{}", setting.name),
        };
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let mut default = code(setting.default);
        for (program, other) in defaults.iter().filter(|(_, other)| *other != setting.default) {
            default += &format!(" ({program}: {})", code(other));
        }
        let programs: String = defaults.iter().map(|(program, _)| *program).collect();
        let values = setting.values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>();
        let values =
            if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
        let help = setting.help.replace('|', "\\|") + &values;
        format!("| `{name} {}` | {default} | {programs} | {help} |\n", setting.value)
    }
}

/// The rows of all programs; a setting of several programs is one row.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (program, settings) in programs() {
        for setting in settings {
            match rows.iter_mut().find(|row| row.setting.name == setting.name) {
                Some(row) => row.defaults.push((program, setting.default)),
                None => rows.push(Row { setting, defaults: vec![(program, setting.default)] }),
            }
        }
    }
    rows
}

/// The table, with the headings of `--help`.
fn table() -> String {
    let rows = rows();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for row in &rows {
        if !headings.contains(&row.setting.heading) {
            headings.push(row.setting.heading);
        }
    }
    let mut table =
        "\n| setting | default | used by | description |\n|---|---|---|---|\n".to_owned();
    for heading in headings {
        table += &format!("| **{}** | | | |\n", heading.unwrap_or("General"));
        let rows = rows.iter().filter(|row| row.setting.heading == heading);
        rows.for_each(|row| table += &row.line());
    }
    table + "\n"
}

#[test]
fn the_settings_table_of_the_manual_is_the_one_that_help_shows() {
    let manual = read(MANUAL);
    let (before, rest) = manual.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let table = table();
    #[expect(
        clippy::disallowed_methods,
        reason = "the person who renews the table says so to a test"
    )]
    if std::env::var_os("BOOKEND_RENEW").is_some() {
        fs::write(root().join(MANUAL), [before, BEGIN, &table, END, after].concat()).unwrap();
        return;
    }
    assert!(
        shown == table,
        "the settings in {MANUAL} differ from --help; renew them with: BOOKEND_RENEW=1 cargo test -p standalone --test manual settings"
    );
}

const SAMPLE: &str = "deploy/bookend.toml";
const SAMPLE_HEAD: &str = "\
# Settings of Bookend, as comments with their defaults. Copy the file, uncomment what differs, and name the copy with
# --config or BOOKEND_CONFIG. Flags and variables override it; `bookend config print` shows the result.
#
# Generated; run `BOOKEND_RENEW=1 cargo test --workspace --test manual sample`.
";

/// The sample configuration file.
fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    let mut heading = None;
    for Row { setting, defaults } in rows() {
        let Setting { default, help, values, .. } = setting;
        if heading != Some(setting.heading) {
            heading = Some(setting.heading);
            text += &format!("\n## {}\n", setting.heading.unwrap_or("General"));
        }
        if setting.is_secret() {
            let variable = setting.variable();
            text +=
                &format!("\n# {help}: only as {variable}, or a file that {variable}_FILE names\n");
            continue;
        }
        let values =
            if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        let programs =
            if defaults.iter().any(|(program, _)| *program == 'B') { "" } else { " (ingest only)" };
        text += &format!("\n# {help}{values}{programs}\n# {}\n", setting.in_file(default));
    }
    text
}

#[test]
fn the_sample_file_has_every_setting_with_its_default() {
    let sample = sample();
    #[expect(
        clippy::disallowed_methods,
        reason = "the person who renews the file says so to a test"
    )]
    if std::env::var_os("BOOKEND_RENEW").is_some() {
        fs::write(root().join(SAMPLE), sample).unwrap();
        return;
    }
    assert!(
        read(SAMPLE) == sample,
        "{SAMPLE} differs from the settings; renew it with: BOOKEND_RENEW=1 cargo test --workspace --test manual sample"
    );
}

/// The configuration of `serve` with the file `text`.
fn config_of(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let settings = standalone::serve::settings();
    let command = clap::Command::new("serve").args(shared::config::args(&settings));
    let path = file.path().to_str().unwrap();
    let matches = command.get_matches_from(["serve", "--config", path]);
    let given = shared::config::Settings::with_variables(&settings, &matches, |_| None);
    let config = standalone::serve::ServeConfig::for_service(given);
    format!("{:#?}", config.unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

#[test]
fn the_lines_of_the_sample_are_settings_that_change_nothing() {
    let sample = read(SAMPLE);
    let is_setting = |line: &&str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let lines = sample.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_setting);
    let (role, lines): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("role = "));
    assert_eq!(role, ["role = \"both\""]);
    assert!(lines.len() > 50, "{lines:?}");
    assert_eq!(config_of(&lines.join("\n")), config_of(""));
}

/// The anchors that GitHub gives to the headings of `text`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What is wrong with the relative links of `text`, a document of the folder `dir`.
fn broken(dir: &Path, text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.contains("://"));
    let broken = relative.filter(|target| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path: PathBuf = dir.join(file);
        let linked = if file.is_empty() { Ok(text.to_owned()) } else { fs::read_to_string(&path) };
        !(file.is_empty() || path.exists())
            || !anchor.is_empty() && !linked.is_ok_and(|text| anchors(&text).contains(anchor))
    });
    broken.map(str::to_owned).collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for document in DOCUMENTS {
        let path = root().join(document);
        let found = broken(path.parent().unwrap(), &read(document));
        assert!(found.is_empty(), "{document}: these links lead nowhere: {found:?}");
    }
    let text = "# A b\n[a](#a-b) [b](README.md#alerts) [c](#c) [d](no.md) [e](https://e.f)";
    assert_eq!(broken(&root().join("deploy"), text), ["#c", "no.md"]);
}

/// The code spans of `text` that are paths of the repository and do not exist.
fn missing(text: &str) -> Vec<String> {
    let roots = ["data/", "deploy/", "fuzz/", "ingest/", "query-api/", "shared/", "specification/"];
    let spans = text.split('`').skip(1).step_by(2).filter(|span| !span.contains(['*', ' ', '{']));
    let paths = spans.filter(|span| roots.iter().any(|root| span.starts_with(root)));
    paths.filter(|path| !root().join(path).exists()).map(str::to_owned).collect()
}

#[test]
fn architecture_names_only_files_that_exist() {
    assert_eq!(missing(&read("ARCHITECTURE.md")), Vec::<String>::new());
    assert_eq!(missing("`shared/src/store.rs` `shared/no.rs` `no/no.rs`"), ["shared/no.rs"]);
}

/// The text of every source of `dir`.
fn sources(dir: &Path) -> String {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|kind| kind == "rs") => {
            fs::read_to_string(path).unwrap()
        }
        false => String::new(),
    };
    entries.map(text).collect()
}

#[test]
fn security_names_only_files_and_tests_that_exist() {
    let security = read("SECURITY.md");
    assert_eq!(missing(&security), Vec::<String>::new());
    let sources: String = CRATES.iter().map(|folder| sources(&root().join(folder))).collect();
    let is_name = |span: &&str| {
        let mut letters = span.chars();
        span.contains('_') && letters.all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    let spans = security.split('`').skip(1).step_by(2);
    let tests: Vec<_> = spans.filter(is_name).filter(|span| *span != "users_prefix").collect();
    assert!(tests.len() > 20, "{tests:?}");
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}
