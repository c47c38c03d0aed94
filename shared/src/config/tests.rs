//! Configuration from flags, variables and files, and its mistakes.

use std::{collections::HashMap, path::PathBuf};

use clap::Command;
use tempfile::TempDir;

use super::*;

const SETTINGS: [Setting; 8] = [
    Setting::new("port", "N", "5000", "a number"),
    Setting::new("max-body", "BYTES", "1MiB", "a size"),
    Setting::new("quota", "N", "", "off by default"),
    Setting::new("as-of", "TIME", "", "an instant"),
    Setting::list("property", "KEY=VALUE", "any number of times"),
    Setting::switch("tls", "on or off"),
    Setting::secret("password", "what must not be told"),
    Setting::new("format", "NAME", "", "one of few").one_of::<crate::telemetry::LogFormat>(),
];

/// The flags, variables and file of one test.
#[derive(Default)]
struct Given {
    flags: Vec<&'static str>,
    variables: HashMap<&'static str, OsString>,
    file: Option<(TempDir, PathBuf)>,
}

impl Given {
    fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn file(mut self, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bookend.toml");
        fs::write(&path, text).unwrap();
        self.variables.insert("BOOKEND_CONFIG", path.clone().into());
        self.file = Some((dir, path));
        self
    }

    fn path(&self) -> String {
        self.file.as_ref().unwrap().1.display().to_string()
    }

    fn settings(&self) -> Settings {
        let command = Command::new("test").no_binary_name(true).args(args(&SETTINGS));
        let matches = command.try_get_matches_from(&self.flags).unwrap();
        Settings::with_variables(&SETTINGS, &matches, |name| self.variables.get(name).cloned())
    }
}

fn mistakes(settings: Settings) -> Vec<String> {
    settings.finish(()).map_or_else(|Mistakes(all)| all, |()| Vec::new())
}

#[test]
fn what_nobody_gives_has_its_default() {
    let mut settings = Given::default().settings();
    assert_eq!(settings.get::<u16>("port"), 5000);
    assert_eq!(settings.get_optional::<u32>("quota"), None);
    assert!(mistakes(settings).is_empty());
}

#[test]
fn a_file_goes_before_the_default() {
    let mut settings = Given::default().file("port = 1").settings();
    assert_eq!(settings.get::<u16>("port"), 1);
}

#[test]
fn a_variable_goes_before_the_file() {
    let mut settings = Given::default().file("port = 1").variable("BOOKEND_PORT", "2").settings();
    assert_eq!(settings.get::<u16>("port"), 2);
}

#[test]
fn a_flag_goes_before_the_variable() {
    let given =
        Given::default().file("port = 1").variable("BOOKEND_PORT", "2").flags(&["--port", "3"]);
    assert_eq!(given.settings().get::<u16>("port"), 3);
}

#[test]
fn the_flag_that_names_the_file_goes_before_its_variable() {
    let given = Given::default().file("port = 1").flags(&["--config", "/nowhere/at/all.toml"]);
    let all = mistakes(given.settings());
    assert!(
        all.len() == 1 && all[0].starts_with("--config: \"/nowhere/at/all.toml\" cannot be read"),
        "{all:?}"
    );
}

#[test]
fn a_variable_s_hyphens_are_underscores() {
    let mut settings = Given::default().variable("BOOKEND_MAX_BODY", "2MiB").settings();
    assert_eq!(settings.get_or("max-body", Bytes(0)), Bytes(2 << 20));
}

#[test]
fn an_empty_variable_counts_as_not_given() {
    let mut settings = Given::default().file("port = 1").variable("BOOKEND_PORT", "").settings();
    assert_eq!(settings.get::<u16>("port"), 1);
}

#[test]
fn an_empty_flag_takes_back_what_a_file_sets() {
    let given = Given::default().file("quota = 7").flags(&["--quota", ""]);
    assert_eq!(given.settings().get_optional::<u32>("quota"), None);
}

#[test]
fn a_time_in_a_file_needs_no_quotes() {
    let mut settings = Given::default().file("as-of = 2019-05-13T12:00:00Z").settings();
    let time = settings.get_optional::<crate::timestamp::Timestamp>("as-of");
    assert_eq!(time, crate::timestamp::Timestamp::parse("2019-05-13T12:00:00Z"));
}

#[test]
fn all_mistakes_are_listed_at_once_each_with_its_source() {
    let given = Given::default()
        .file("quota = 'many'\nprot = 1\n[listen]\nport = 1")
        .variable("BOOKEND_MAX_BODY", "big")
        .flags(&["--port", "http"]);
    let mut settings = given.settings();
    settings.get::<u16>("port");
    settings.get_or("max-body", Bytes(0));
    settings.get_optional::<u32>("quota");
    let (path, all) = (given.path(), mistakes(settings));
    let listed = |begin: &str| all.iter().any(|mistake| mistake.starts_with(begin));
    assert!(listed("--port: \"http\" is not valid: expected a whole number"), "{all:?}");
    assert!(
        listed("BOOKEND_MAX_BODY: \"big\" is not valid: expected a number of bytes"),
        "{all:?}"
    );
    assert!(listed(&format!("{path}: quota: \"many\" is not valid: ")), "{all:?}");
    let meant = format!("{path}: unknown setting \"prot\"; did you mean \"port\"?");
    assert!(listed(&meant), "{all:?}");
    assert!(listed(&format!("{path}: unknown setting \"listen\"; `--help` lists")), "{all:?}");
    assert_eq!(all.len(), 5, "{all:?}");
}

#[test]
fn one_value_in_a_file_that_is_none_hides_no_other_mistake() {
    let given = Given::default().file("port = [1, 2]\nmax-body = 'big'");
    let mut settings = given.settings();
    settings.get_or("max-body", Bytes(0));
    let all = mistakes(settings);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0], format!("{}: port: expected a single value", given.path()));
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_of_the_variable_that_names_it() {
    let all =
        mistakes(Given::default().variable("BOOKEND_CONFIG", "/nowhere/at/all.toml").settings());
    assert!(
        all.len() == 1 && all[0].starts_with("BOOKEND_CONFIG: \"/nowhere/at/all.toml\""),
        "{all:?}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_a_mistake() {
    let all = mistakes(Given::default().file("port: 5000").settings());
    assert!(all.len() == 1 && all[0].starts_with("BOOKEND_CONFIG: "), "{all:?}");
}

#[test]
fn a_default_that_cannot_be_used_says_that_it_is_the_default() {
    let mut settings = Given::default().settings();
    settings.mistake("max-body", "it is too small");
    assert_eq!(
        mistakes(settings),
        ["the default of --max-body: \"1MiB\" is not valid: it is too small"]
    );
}

#[test]
fn a_value_that_cannot_be_read_is_one_mistake_and_not_two() {
    let mut settings = Given::default().flags(&["--port", "http"]).settings();
    if settings.get::<u16>("port") == 0 {
        settings.mistake("port", "there is no port 0");
    }
    assert_eq!(mistakes(settings).len(), 1);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = Given::default();
    given.variables.insert("BOOKEND_PORT", OsString::from_vec(vec![0xFF]));
    assert_eq!(mistakes(given.settings()), ["BOOKEND_PORT: the value is not UTF-8"]);
}

#[test]
fn a_size_is_bytes_or_has_a_unit_of_1024() {
    let sizes =
        [("0", 0), ("7", 7), ("7b", 7), ("64KiB", 64 << 10), ("2 MiB", 2 << 20), ("1g", 1 << 30)];
    for (text, bytes) in sizes {
        assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
    }
}

#[test]
fn a_size_is_written_in_its_largest_unit() {
    let sizes = [
        (1_023, "1023 bytes"),
        (1 << 10, "1 KiB"),
        (1 << 20, "1 MiB"),
        (25_280_565_248, "23.5 GiB"),
        (900 << 30, "900 GiB"),
    ];
    for (bytes, text) in sizes {
        assert_eq!(Bytes(bytes).to_string(), text);
    }
}

#[test]
fn a_mistake_says_what_was_expected() {
    let given = Given::default().flags(&["--port", "-1", "--max-body", "5000", "--tls=maybe"]);
    let mut settings = given.settings();
    settings.get::<u16>("port");
    settings.get_or("max-body", ListenAddress(([0, 0, 0, 0], 0).into()));
    settings.get::<bool>("tls");
    let all = mistakes(settings);
    assert_eq!(all[0], "--port: \"-1\" is not valid: expected a whole number");
    assert!(all[1].ends_with("expected ADDRESS:PORT, for example 127.0.0.1:5000"), "{all:?}");
    assert!(all[2].ends_with("expected true or false"), "{all:?}");
    let mut none = Given::default().flags(&["--quota", "0"]).settings();
    none.get_optional::<std::num::NonZero<u32>>("quota");
    assert_eq!(mistakes(none), ["--quota: \"0\" is not valid: must be at least 1"]);
}

#[test]
fn a_size_that_is_none_is_refused() {
    for text in ["", "MiB", "-1", "1.5MiB", "1TiB", "1 2", "99999999999999999999", "99999999999GiB"]
    {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
}

#[test]
fn a_span_has_a_unit() {
    let spans = [
        ("0s", 0),
        ("200ms", 200),
        ("15s", 15_000),
        ("5m", 300_000),
        ("12 h", 43_200_000),
        ("7d", 604_800_000),
    ];
    for (text, millis) in spans {
        assert_eq!(text.parse().map(DurationValue::millis), Ok(millis), "{text}");
    }
}

#[test]
fn a_span_that_is_none_is_refused() {
    for text in ["", "5", "s", "-5s", "1.5h", "1w", "5M", "999999999999999999d"] {
        assert!(text.parse::<DurationValue>().is_err(), "{text}");
    }
}

#[test]
fn help_names_the_variable_and_the_default_of_a_setting() {
    let help = Command::new("test").args(args(&SETTINGS)).render_long_help().to_string();
    assert!(help.contains("a size [env: BOOKEND_MAX_BODY] [default: 1MiB]"), "{help}");
}

#[test]
fn a_list_is_given_by_repeated_flags_by_commas_in_a_variable_or_by_an_array_in_the_file() {
    let list = |given: Given| given.settings().get_list::<String>("property");
    assert!(list(Given::default()).is_empty());
    assert_eq!(
        list(Given::default().flags(&["--property", "a=1,2", "--property", "b=3"])),
        ["a=1,2", "b=3"]
    );
    assert_eq!(list(Given::default().variable("BOOKEND_PROPERTY", "a=1, b=3")), ["a=1", "b=3"]);
    assert_eq!(list(Given::default().file("property = ['a=1,2', 'b=3']")), ["a=1,2", "b=3"]);
}

#[test]
fn a_switch_is_on_when_it_is_named() {
    let on = |given: Given| given.settings().get::<bool>("tls");
    assert!(!on(Given::default()));
    assert!(on(Given::default().flags(&["--tls"])));
    assert!(on(Given::default().variable("BOOKEND_TLS", "true")));
    assert!(!on(Given::default().variable("BOOKEND_TLS", "true").flags(&["--tls=false"])));
}

#[test]
fn a_secret_is_a_variable_or_a_file_that_a_variable_names_and_is_never_shown() {
    let secret = |given: &Given| given.settings().secret("password").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "hush \n").unwrap();
    let given = Given::default().variable("BOOKEND_PASSWORD_FILE", file.path().to_str().unwrap());
    assert_eq!(secret(&given).reveal(), "hush ");
    assert_eq!(format!("{:?}", secret(&given)), "[redacted]");
    let given = given.variable("BOOKEND_PASSWORD", "loud");
    assert_eq!(secret(&given).reveal(), "loud");
    let mut settings = given.settings();
    settings.mistake("password", "it needs a name");
    assert_eq!(mistakes(settings), ["BOOKEND_PASSWORD: it needs a name"]);

    let given = Given::default().file("password = 'hush'");
    let [mistake] = &mistakes(given.settings())[..] else { panic!() };
    assert!(
        mistake.contains("password: a secret cannot be") && !mistake.contains("hush"),
        "{mistake}"
    );
    let gone = Given::default().variable("BOOKEND_PASSWORD_FILE", "/nowhere/secret");
    let [mistake] = &mistakes(gone.settings())[..] else { panic!() };
    assert!(
        mistake.starts_with("BOOKEND_PASSWORD_FILE: /nowhere/secret cannot be read"),
        "{mistake}"
    );
    let command = Command::new("test").no_binary_name(true).args(args(&SETTINGS));
    assert!(command.try_get_matches_from(["--password", "hush"]).is_err());
}

#[test]
fn a_command_without_settings_reads_its_secret_as_a_service_does() {
    let read = |given: &Given| {
        let secret = secret_from(&SETTINGS[6], |name| given.variables.get(name).cloned());
        secret.map(|secret| secret.map(|secret| secret.reveal().to_owned()))
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "hush\n").unwrap();
    let none = Given::default().variable("BOOKEND_PASSWORD", "");
    assert_eq!(read(&none).unwrap(), None);
    let given = none.variable("BOOKEND_PASSWORD_FILE", file.path().to_str().unwrap());
    assert_eq!(read(&given).unwrap().unwrap(), "hush");
    assert_eq!(read(&given.variable("BOOKEND_PASSWORD", "loud")).unwrap().unwrap(), "loud");
    let gone = Given::default().variable("BOOKEND_PASSWORD_FILE", "/nowhere/secret");
    let Mistakes(all) = read(&gone).unwrap_err();
    assert!(all[0].starts_with("BOOKEND_PASSWORD_FILE: /nowhere/secret cannot be read"), "{all:?}");
}

#[test]
fn the_values_are_shown_as_a_file_with_their_sources_and_without_secrets() {
    let given = Given::default()
        .file("quota = 7\nproperty = ['a=1,2', 'b=\"3\"']")
        .variable("BOOKEND_MAX_BODY", "2MiB")
        .variable("BOOKEND_PASSWORD", "hush")
        .flags(&["--tls", "--port", "08"]);
    let shown = given.settings().shown(&SETTINGS);
    let path = given.path();
    let lines: Vec<_> = shown.lines().collect();
    let expected = [
        "port = \"08\"  # --port".to_owned(),
        "max-body = \"2MiB\"  # BOOKEND_MAX_BODY".to_owned(),
        format!("quota = 7  # {path}: quota"),
        "# as-of = \"\"  # default".to_owned(),
        format!("property = [\"a=1,2\", 'b=\"3\"']  # {path}: property"),
        "tls = true  # --tls".to_owned(),
        "# password = [redacted]  # BOOKEND_PASSWORD".to_owned(),
        "# format = \"\"  # default".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert!(!shown.contains("hush"));
    // It is a file that gives the same values.
    let again = Given::default().file(&shown);
    let mut settings = again.settings();
    assert_eq!(settings.get::<String>("port"), "08");
    assert_eq!(settings.get_list::<String>("property"), ["a=1,2", "b=\"3\""]);
    assert!(mistakes(settings).is_empty());
}
