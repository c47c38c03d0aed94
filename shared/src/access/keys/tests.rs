//! Tests of the file of keys: its mistakes, its keys and its changes.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use futures_util::stream;
use prometheus::IntGauge;
use tempfile::TempDir;
use test_support::lines::Lines;

use super::*;
use crate::{
    access::{
        AllowedOrigin, Right, Rights,
        key::{KeyHash, KeyId, generate},
    },
    config::Secret,
    timestamp::{DAY, Timestamp},
};

const HASH: &str = "b9cf14d528e97452a4c1922def0d39459dba24eed7fa5fef3101093dc343b3be";

/// A new key, and its entry with `more` lines.
fn made(id: &str, more: &str) -> (Secret, String) {
    let key = generate(&id.parse().unwrap()).unwrap();
    let hash = KeyHash::of(key.reveal().as_bytes());
    let text = format!("[[key]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n{more}\n");
    (key, text)
}

/// An entry with the right hash of no known key.
fn entry(id: &str, more: &str) -> String {
    format!("[[key]]\nid = \"{id}\"\nsha256 = \"{HASH}\"\n{more}\n")
}

fn mistakes(text: &str) -> Vec<String> {
    KeySet::parse(text).map(|set| set.len()).unwrap_err()
}

fn noon() -> Timestamp {
    Timestamp::parse("2027-06-01T12:00Z").unwrap()
}

fn find(set: &KeySet, key: &Secret, now: Timestamp) -> Result<KeyId, Unfit> {
    set.find(key.reveal().as_bytes(), now).map(|key| key.id.clone())
}

#[test]
fn a_key_is_found_with_what_its_entry_says() {
    let (key, text) = made(
        "web-client",
        "rights = [\"ingest\"]\nquota = 5_000\norigins = [\"https://game.example\", \"*\"]\n\
         expires = 2027-06-02\nusers_prefix = \"t1:\"",
    );
    let set = KeySet::parse(&text).unwrap();
    let found = set.find(key.reveal().as_bytes(), noon()).unwrap();
    assert_eq!(
        **found,
        Key {
            id: "web-client".parse().unwrap(),
            rights: Rights::from_iter([Right::Ingest]),
            quota: std::num::NonZeroU32::new(5_000),
            origins: vec![
                AllowedOrigin::One("https://game.example".parse().unwrap()),
                AllowedOrigin::Any,
            ],
            expires: Timestamp::parse("2027-06-02T00:00Z"),
            users_prefix: Some("t1:".to_owned()),
        }
    );
    // `*` among its origins.
    assert!(set.allows_origin("https://other.example"));
}

#[test]
fn a_key_with_only_its_rights_has_no_limits() {
    let (key, text) = made("all", "rights = [\"erase\", \"operate\", \"read\", \"ingest\"]");
    let set = KeySet::parse(&text).unwrap();
    let found = set.find(key.reveal().as_bytes(), noon()).unwrap();
    assert!(Right::ALL.iter().all(|right| found.rights.contains(*right)));
    assert_eq!(
        (found.quota, found.origins.as_slice(), found.expires, &found.users_prefix),
        (None, &[][..], None, &None)
    );
}

#[test]
fn a_key_ends_with_the_first_instant_of_its_day() {
    for day in ["2027-06-01", "\"2027-06-01\""] {
        let (key, text) = made("web", &format!("rights = [\"read\"]\nexpires = {day}"));
        let set = KeySet::parse(&text).unwrap();
        let midnight = noon().floor(DAY);
        assert_eq!(find(&set, &key, midnight - 1), Ok("web".parse().unwrap()));
        assert_eq!(find(&set, &key, midnight), Err(Unfit::Expired));
    }
}

#[test]
fn a_key_that_was_mistyped_or_revoked_or_never_made_is_told_apart_from_a_right_one() {
    let (key, text) = made("web", "rights = [\"read\"]");
    let set = KeySet::parse(&text).unwrap();
    assert_eq!(find(&set, &key, noon()), Ok("web".parse().unwrap()));
    let (other_secret, _) = made("web", "");
    assert_eq!(find(&set, &other_secret, noon()), Err(Unfit::Unknown));
    let (other_id, _) = made("dashboard", "");
    assert_eq!(find(&set, &other_id, noon()), Err(Unfit::Unknown));
    let (mistyped, _) = key.reveal().split_at(key.reveal().len() - 1);
    assert_eq!(set.find(mistyped.as_bytes(), noon()).err(), Some(Unfit::Malformed));
    assert_eq!(KeySet::default().find(b"", noon()).err(), Some(Unfit::Malformed));
}

#[test]
fn every_mistake_of_an_entry_is_named() {
    let rights = "rights = [\"read\"]";
    for (text, expected) in [
        (
            entry("Web", rights),
            "`id` of entry 1 (line 1) is not valid: expected 1 to 32 of a-z, 0-9 and -, and not `none`",
        ),
        (
            format!("\n[[key]]\nsha256 = \"{HASH}\"\n{rights}"),
            "`id` of entry 1 (line 2) is missing",
        ),
        (
            entry("none", rights),
            "`id` of entry 1 (line 1) is not valid: expected 1 to 32 of a-z, 0-9 and -, and not `none`",
        ),
        (entry("web", ""), "`rights` of web is missing"),
        (entry("web", "rights = []"), "`rights` of web is not valid: name at least one"),
        (
            entry("web", "rights = \"read\""),
            "`rights` of web is not valid: expected an array of strings",
        ),
        (entry("web", "rights = [1]"), "`rights` of web is not valid: expected a string"),
        (
            entry("web", "rights = [\"raed\"]"),
            "`rights` of web is not valid: expected one of ingest, read, operate, erase; did you mean \"read\"?",
        ),
        (format!("[[key]]\nid = \"web\"\n{rights}"), "`sha256` of web is missing"),
        (
            format!("[[key]]\nid = \"web\"\nsha256 = \"bk_web_secret\"\n{rights}"),
            "`sha256` of web is not a SHA-256 hash: expected 64 hexadecimal digits",
        ),
        (
            entry("web", "rights = [\"ingest\"]\nquota = 0"),
            "`quota` of web is not valid: expected a whole number from 1 to 4294967295",
        ),
        (
            entry("web", "rights = [\"ingest\"]\nquota = \"5\""),
            "`quota` of web is not valid: expected a whole number from 1 to 4294967295",
        ),
    ] {
        assert_eq!(mistakes(&text), [expected], "{text}");
    }
}

#[test]
fn every_mistake_of_a_field_that_may_be_missing_is_named() {
    for (text, expected) in [
        (
            entry("web", "rights = [\"ingest\"]\norigins = [\"https://game.example/\"]"),
            "`origins` of web is not valid: an origin ends after the host or port; remove the path, also a single /",
        ),
        (
            entry("web", "rights = [\"ingest\"]\norigins = []"),
            "`origins` of web is not valid: it is empty; remove it to allow all origins",
        ),
        (
            entry("web", "rights = [\"ingest\"]\nexpires = 2027-06-31"),
            "line 5: invalid date, expected day between 01 and 30",
        ),
        (
            entry("web", "rights = [\"ingest\"]\nexpires = 2027-06-01T00:00:00Z"),
            "`expires` of web is not valid: expected a date, for example 2027-06-01",
        ),
        (
            entry("web", "rights = [\"ingest\"]\nexpires = \"tomorrow\""),
            "`expires` of web is not valid: expected a date, for example 2027-06-01",
        ),
        (
            entry("web", "rights = [\"read\"]\nusers_prefix = \"\""),
            "`users_prefix` of web is not valid: it is empty; remove it to allow all users",
        ),
        (
            entry("web", &format!("rights = [\"read\"]\nusers_prefix = \"{}\"", "a".repeat(129))),
            "`users_prefix` of web is not valid: expected at most 128 bytes without control characters",
        ),
        (
            entry("web", "rights = [\"read\", \"operate\"]\nusers_prefix = \"t1:\""),
            "`users_prefix` of web is not valid: a key with `operate` sees the metrics of all users",
        ),
    ] {
        assert_eq!(mistakes(&text), [expected], "{text}");
    }
}

#[test]
fn what_is_not_an_entry_is_a_mistake() {
    for (text, expected) in [
        (
            entry("web", "rights = [\"read\"]\nright = \"read\""),
            "unknown field \"right\" of web; expected one of id, sha256, rights, quota, origins, expires, users_prefix",
        ),
        ("key = 1".to_owned(), "line 1: expected nothing but entries [[key]]"),
        ("[key]\nid = \"web\"".to_owned(), "line 1: expected nothing but entries [[key]]"),
        ("\n[[keys]]\n".to_owned(), "line 2: expected nothing but entries [[key]]"),
        ("key = [1]".to_owned(), "entry 1 (line 1) is not a table; write [[key]]"),
    ] {
        assert_eq!(mistakes(&text), [expected], "{text}");
    }
}

#[test]
fn all_mistakes_are_named_together() {
    let text = entry("web", "") + &entry("dash", "rights = [\"read\"]\nquota = -1\nexpires = 1");
    assert_eq!(mistakes(&text).len(), 3, "{:?}", mistakes(&text));
}

#[test]
fn a_key_in_the_wrong_place_is_never_shown() {
    let (key, _) = made("web", "");
    let key = key.reveal();
    for text in [
        format!("[[key]]\nid = \"web\"\nsha256 = \"{key}\"\nrights = [\"{key}\"]"),
        format!("[[key]]\nid = \"{key}\"\nsha256 = {key}\nrights = []"),
        format!("[[key]]\nid = \"{key}\"\norigins = [\"{key}\"]\nexpires = \"{key}\"\n"),
        format!("{key}\n"),
        format!(
            "[[key]]\nid = \"web\"\nquota = \"{key}\"\nsha256 = \"{HASH}\"\nrights = [\"read\"]"
        ),
    ] {
        let mistakes = mistakes(&text).join("\n");
        assert!(!mistakes.contains(key), "{mistakes}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_a_mistake() {
    let rights = "rights = [\"ingest\"]";
    let prefix = |id, prefix| entry(id, &format!("{rights}\nusers_prefix = \"{prefix}\""));
    let star = entry("beacon", &format!("{rights}\norigins = [\"*\"]"));
    for (text, expected) in [
        (entry("web", rights) + &entry("web", rights), Some("duplicate id web")),
        (
            prefix("one", "t1") + &prefix("two", "t12"),
            Some("`users_prefix` of two and one overlap: one begins with the other"),
        ),
        (
            prefix("one", "t12") + &prefix("two", "t1"),
            Some("`users_prefix` of two and one overlap: one begins with the other"),
        ),
        // Two keys of one tenant, and other tenants.
        (prefix("one", "t1:") + &prefix("two", "t1:") + &prefix("three", "t12:"), None),
        (star.clone() + &entry("web", rights), None),
        (
            star + &entry("dash", "rights = [\"ingest\", \"read\"]"),
            Some(
                "`origins` of beacon allows `*`, but dash has another right than ingest; list the origins",
            ),
        ),
    ] {
        let found = KeySet::parse(&text).err().unwrap_or_default();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn the_origins_of_all_keys_are_allowed() {
    let of = |id, origin| entry(id, &format!("rights = [\"read\"]\norigins = [\"{origin}\"]"));
    let set = KeySet::parse(&(of("one", "https://one.example") + &of("two", "http://two:81")));
    let set = set.unwrap();
    let allowed = ["https://one.example", "http://two:81"].map(|origin| set.allows_origin(origin));
    assert_eq!(allowed, [true, true]);
    let foreign = ["http://one.example", "http://two", "null", "*", ""];
    assert_eq!(foreign.map(|origin| set.allows_origin(origin)), [false; 5]);
    assert!(!KeySet::default().allows_origin("https://one.example"));
}

/// A file of keys that was opened.
struct Opened {
    keys: Arc<Keys>,
    reload_ok: IntGauge,
    path: PathBuf,
    _dir: TempDir,
}

impl Opened {
    fn new(text: &str) -> Self {
        Self::beside(text, Vec::new())
    }

    /// The same beside origins that are allowed with every key.
    fn beside(text: &str, origins: Vec<AllowedOrigin>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        fs::write(&path, text).unwrap();
        let keys = Arc::new(Keys::open_beside(&path, origins).unwrap());
        let reload_ok = IntGauge::new("reload_ok", "A gauge.").unwrap();
        Self { keys, reload_ok, path, _dir: dir }
    }

    /// Looks at the file with this content, and returns the ids in use and the gauge.
    fn after(&self, text: &[u8]) -> (Vec<String>, i64) {
        fs::write(&self.path, text).unwrap();
        self.look()
    }

    fn look(&self) -> (Vec<String>, i64) {
        self.keys.look(&self.reload_ok);
        let mut ids: Vec<_> = self.keys.current().iter().map(|key| key.id.to_string()).collect();
        ids.sort();
        (ids, self.reload_ok.get())
    }
}

#[test]
fn a_changed_file_changes_the_keys_and_a_broken_one_does_not() {
    let web = entry("web", "rights = [\"read\"]");
    let opened = Opened::new(&web);
    let both = web.clone() + &entry("dash", "rights = [\"read\"]");
    assert_eq!(opened.after(both.as_bytes()), (vec!["dash".to_owned(), "web".to_owned()], 1));
    let one = vec!["web".to_owned()];
    assert_eq!(opened.after(web.as_bytes()), (one.clone(), 1));
    assert_eq!(opened.after(b"[[key]]\n"), (one.clone(), 0));
    assert_eq!(opened.after(&[0xff]), (one.clone(), 0));
    fs::remove_file(&opened.path).unwrap();
    assert_eq!(opened.look(), (one.clone(), 0));
    fs::create_dir(&opened.path).unwrap();
    assert_eq!(opened.look(), (one.clone(), 0));
    fs::remove_dir(&opened.path).unwrap();
    // The content of before is valid again.
    assert_eq!(opened.after(web.as_bytes()), (one, 1));
    assert_eq!(opened.after(b"# none\n"), (Vec::new(), 1));
}

#[test]
fn with_every_origin_allowed_a_key_may_only_ingest() {
    let beacon = entry("beacon", "rights = [\"ingest\"]");
    let opened = Opened::beside(&beacon, vec![AllowedOrigin::Any]);
    let both = beacon.clone() + &entry("dash", "rights = [\"read\"]");
    let (lines, _guard) = Lines::collect();
    assert_eq!(opened.after(both.as_bytes()), (vec!["beacon".to_owned()], 0));
    let mistake = "--cors-origin allows `*`, but dash has another right than ingest";
    assert_eq!(lines.with(mistake).len(), 1);
    let mistakes = Keys::open_beside(&opened.path, vec![AllowedOrigin::Any]).err().unwrap();
    assert!(mistakes.len() == 1 && mistakes[0].starts_with(mistake), "{mistakes:?}");
    assert!(Keys::open(&opened.path).is_ok());
}

#[test]
fn each_broken_content_is_logged_once() {
    let opened = Opened::new(&entry("web", "rights = [\"read\"]"));
    let (lines, _guard) = Lines::collect();
    for _ in 0..3 {
        opened.after(b"[[key]]\n");
    }
    assert_eq!(lines.with("the earlier keys stay in use").len(), 1);
    opened.after(b"[[keys]]\n");
    assert_eq!(lines.with("the earlier keys stay in use").len(), 2);
    for _ in 0..3 {
        opened.after(b"");
    }
    assert_eq!(lines.with("the file of keys has no key").len(), 1);
}

#[test]
fn a_file_that_others_may_change_is_logged_at_the_start_and_at_each_change() {
    let (lines, _guard) = Lines::collect();
    let opened = Opened::new("");
    let dir = opened.path.parent().unwrap();
    let warnings = || lines.with("can add keys to the file of keys").len();
    let mut content = String::new();
    let mut change = |path: &Path, mode| {
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let earlier = warnings();
        Keys::open(&opened.path).unwrap();
        let at_start = warnings() - earlier;
        content += "#\n";
        opened.after(content.as_bytes());
        opened.look();
        fs::set_permissions(path, before).unwrap();
        (at_start, warnings() - earlier - at_start)
    };
    assert_eq!(change(&opened.path, 0o644), (0, 0));
    assert_eq!(change(&opened.path, 0o646), (1, 1));
    assert_eq!(change(dir, 0o777), (1, 1));
    assert_eq!(change(dir, 0o1777), (0, 0), "nobody can replace a file of another user");
    assert_eq!(lines.with("everybody on this machine").len(), 4);
    // Its group has other members than its owner.
    assert_eq!(writers(0o664, 1_000, 100), Some("the members of its group"));
    let own = [(0o664, 1_000, 1_000), (0o664, 0, 0), (0o644, 1_000, 100)];
    assert_eq!(own.map(|(mode, owner, group)| writers(mode, owner, group)), [None; 3]);
}

#[test]
fn a_file_that_cannot_be_used_at_the_start_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Keys::open(&dir.path().join("keys.toml")).unwrap_err();
    assert_eq!(missing, ["cannot be read: No such file or directory (os error 2)"]);
    assert_eq!(Keys::open(dir.path()).unwrap_err(), ["cannot be read: not a regular file"]);
    let path = dir.path().join("keys.toml");
    fs::write(&path, "[[key]]\nid = \"web\"\n").unwrap();
    assert_eq!(Keys::open(&path).unwrap_err().len(), 2);
}

#[tokio::test]
async fn the_file_is_looked_at_when_it_is_due_and_the_metric_says_the_outcome() {
    let opened = Opened::new("");
    let registry = Registry::new();
    let looks = stream::iter([()]);
    let watching = opened.keys.watch(&registry, looks).unwrap();
    let gauge = || registry.gather()[0].get_metric()[0].get_gauge().get_value();
    assert_eq!((registry.gather()[0].name(), gauge()), ("bookend_keys_reload_ok", 1.0));
    fs::write(&opened.path, entry("web", "rights = [\"read\"]")).unwrap();
    watching.await;
    assert_eq!((opened.keys.current().len(), gauge()), (1, 1.0));
    let watching = opened.keys.watch(&Registry::new(), stream::iter([()])).unwrap();
    fs::remove_file(&opened.path).unwrap();
    watching.await;
    assert_eq!(opened.keys.current().len(), 1);
}
