//! The command `bookend key`: the file that it writes, and what it refuses.

use std::{
    fs::{self, File, Permissions},
    io::{Read, Seek},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command_line::said,
    service::{BOOKEND, Service, eventually},
};

/// A directory with room for a file of keys.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("keys.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BOOKEND);
        command.env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        command.arg("key").args(args).args(["--keys", "keys.toml"]);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that succeeds, and returns its standard output.
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that changes nothing, and returns its standard error.
    fn refused(&self, args: &[&str], status: i32) -> String {
        let before = fs::read(self.file()).ok();
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(fs::read(self.file()).ok() == before, "{args:?} changed the file");
        said(&output)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_key_is_printed_once_and_the_file_has_only_its_hash() {
    let place = Place::new();
    let printed = place.done(&[
        "new",
        "--id",
        "web-client",
        "--rights",
        "ingest",
        "--quota",
        "5000",
        "--origin",
        "https://game.example",
        "--origin",
        "https://www.game.example",
        "--expires",
        "2999-06-01",
        "--users-prefix",
        "t1:",
    ]);
    let key = printed.strip_suffix('\n').unwrap();
    assert!(key.starts_with("bk_web-client_") && key.len() == 53, "{printed}");
    assert_eq!(mode(&place.file()), 0o644);
    let secret = key.split('_').nth(2).unwrap();
    let text = place.text();
    assert!(!text.contains(secret) && text.contains("sha256 = "), "{text}");

    place.done(&["new", "--id", "reports", "--rights", "read,operate"]);
    assert!(place.text().starts_with(&text), "the first entry keeps its bytes");
    assert_eq!(
        place.done(&["list"]),
        "ID          RIGHTS        QUOTA  EXPIRES     USERS  ORIGINS\n\
         web-client  ingest        5000   2999-06-01  t1:*   https://game.example,https://www.game.example\n\
         reports     read,operate  -      -           -      -\n"
    );
    let listed: Value = serde_json::from_str(&place.done(&["list", "--json"])).unwrap();
    assert_eq!(
        listed["keys"][0],
        json!({
            "id": "web-client", "rights": ["ingest"], "quota": 5000,
            "origins": ["https://game.example", "https://www.game.example"],
            "expires": "2999-06-01", "expired": false, "users_prefix": "t1:",
        })
    );
    assert_eq!(listed["keys"][1]["quota"], Value::Null);
}

#[test]
fn a_revoked_key_is_gone_and_the_rest_of_the_file_is_as_before() {
    let place = Place::new();
    place.done(&["new", "--id", "one", "--rights", "read"]);
    fs::write(place.file(), place.text() + "# a comment\n").unwrap();
    fs::set_permissions(place.file(), Permissions::from_mode(0o640)).unwrap();
    let before = place.text();
    place.done(&["new", "--id", "two", "--rights", "read"]);
    assert_eq!(place.done(&["revoke", "--id", "two"]), "");
    assert_eq!(place.text(), before);
    assert_eq!(mode(&place.file()), 0o640, "an existing file keeps its mode");
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 1, "nothing else is left");
    place.done(&["revoke", "--id", "one"]);
    assert_eq!(place.done(&["list"]), "no keys\n");
    assert_eq!(place.done(&["list", "--json"]), "{\"keys\":[]}\n");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join("real")).unwrap();
    fs::write(place.dir.path().join("real/keys.toml"), "").unwrap();
    symlink("real/keys.toml", place.file()).unwrap();
    place.done(&["new", "--id", "one", "--rights", "read"]);
    assert!(fs::symlink_metadata(place.file()).unwrap().is_symlink());
    assert!(place.text().contains("id = \"one\""));
}

#[test]
fn what_cannot_be_a_key_is_refused_and_changes_nothing() {
    let place = Place::new();
    let missing = place.refused(&["list"], 1);
    assert!(missing.contains("there is no file") && missing.contains("keys.toml"), "{missing}");
    place.refused(&["revoke", "--id", "one"], 1);
    // As a device or a pipe.
    fs::create_dir(place.file()).unwrap();
    for args in [&["list"][..], &["new", "--id", "one", "--rights", "read"]] {
        let text = place.refused(args, 1);
        assert!(text.contains("keys.toml is not a regular file"), "{text}");
    }
    fs::remove_dir(place.file()).unwrap();
    for (args, meant) in [
        (&["--id", "One", "--rights", "read"][..], "expected 1 to 32 of a-z, 0-9 and -"),
        (&["--id", "none", "--rights", "read"], "and not `none`"),
        (&["--id", "one", "--rights", "raed"], "expected one of ingest, read, operate, erase"),
        (&["--id", "one", "--rights", "read", "--origin", "https://a.example/"], "remove the path"),
        (
            &["--id", "one", "--rights", "read", "--expires", "2019-06-01"],
            "not be valid at any time",
        ),
        (&["--id", "one", "--rights", "read", "--expires", "soon"], "for example 2027-06-01"),
        (&["--id", "one", "--rights", "read", "--quota", "0"], "--quota"),
        (
            &["--id", "one", "--rights", "operate", "--users-prefix", "t1:"],
            "keys.toml: `users_prefix` of one",
        ),
        (&["--id", "one"], "--rights"),
        (&["--rights", "read"], "--id"),
    ] {
        let text = place.refused(&[&["new"], args].concat(), 64);
        assert!(text.contains(meant), "{args:?}: {text}");
    }
    place.done(&["new", "--id", "one", "--rights", "read"]);
    let exists = place.refused(&["new", "--id", "one", "--rights", "read"], 1);
    assert!(exists.contains("there is a key one already"), "{exists}");
    let star = place.refused(&["new", "--id", "two", "--rights", "ingest", "--origin", "*"], 64);
    assert!(star.contains("one has another right than ingest"), "{star}");
    let unknown = place.refused(&["revoke", "--id", "two"], 1);
    assert!(unknown.contains("there is no key two"), "{unknown}");

    fs::write(place.file(), place.text() + "quota = 0\norigins = [\"null\"]\n").unwrap();
    for args in
        [&["list"][..], &["revoke", "--id", "one"], &["new", "--id", "b", "--rights", "read"]]
    {
        let text = place.refused(args, 64);
        assert_eq!(text.lines().count(), 2, "each mistake is a line: {text}");
        assert!(text.contains("keys.toml: `quota` of one is not valid"), "{text}");
    }
}

#[test]
fn keys_that_are_made_at_once_are_all_kept() {
    let place = Place::new();
    let ids: Vec<_> = (0..8).map(|number| format!("key-{number}")).collect();
    let start = |id: &String| {
        let mut command = place.command(&["new", "--rights", "read", "--id", id]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let running: Vec<Child> = ids.iter().map(start).collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let listed: Value = serde_json::from_str(&place.done(&["list", "--json"])).unwrap();
    let mut kept: Vec<_> =
        listed["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ids);
}

#[test]
fn a_key_that_nobody_can_read_is_not_added() {
    let place = Place::new();
    let full = || File::options().write(true).open("/dev/full").unwrap().into();
    let closed_pipe = || std::io::pipe().unwrap().1.into();
    let outputs: [(&str, &dyn Fn() -> Stdio); 3] =
        [("/dev/full", &full), ("a closed pipe", &closed_pipe), ("/dev/null", &Stdio::null)];
    for (name, output) in outputs {
        let mut command = place.command(&["new", "--id", "one", "--rights", "read"]);
        let output = command.stdout(output()).stderr(Stdio::piped()).output().unwrap();
        not_added(&place, name, &output);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" >&-", "sh", BOOKEND, "key", "new", "--keys"]);
    shell.arg(place.file()).args(["--id", "one", "--rights", "read"]);
    not_added(&place, "closed", &shell.output().unwrap());
    place.done(&["new", "--id", "one", "--rights", "read"]);
}

fn not_added(place: &Place, name: &str, output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{name}: {}", said(output));
    assert!(said(output).contains("so it was not added"), "{name}: {}", said(output));
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0, "{name}: nothing is left");
}

#[test]
fn a_command_that_waits_for_the_lock_says_so() {
    let place = Place::new();
    let lock = File::open(place.dir.path()).unwrap();
    lock.lock().unwrap();
    let mut stderr = tempfile::NamedTempFile::new().unwrap();
    let mut command = place.command(&["new", "--id", "one", "--rights", "read"]);
    command.stdout(Stdio::piped()).stderr(stderr.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let line = eventually("it says that it waits", || {
        let mut text = String::new();
        stderr.rewind().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text.ends_with('\n').then_some(text)
    });
    let dir = place.dir.path().canonicalize().unwrap();
    assert!(line.contains("waiting for the process that holds the lock"), "{line}");
    assert!(line.contains(dir.to_str().unwrap()), "{line}");
    lock.unlock().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(place.text().contains("id = \"one\""));
}

#[test]
fn a_command_gives_up_when_the_lock_is_held_for_long() {
    let place = Place::new();
    place.done(&["new", "--id", "one", "--rights", "read"]);
    let lock = File::open(place.dir.path()).unwrap();
    lock.lock().unwrap();
    let before = place.text();
    let mut command = place.command(&["revoke", "--id", "one"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = eventually("it gives up", || child.try_wait().unwrap());
    assert_eq!((status.code(), place.text()), (Some(1), before));
    let text = said(&child.wait_with_output().unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("waiting for the process"), "{text}");
    assert!(lines[1].contains("another process holds the lock on"), "{text}");
}

/// A batch of `count` events.
fn batch(count: usize) -> Vec<u8> {
    let event =
        json!({"user_id": "ada", "session_id": "s", "event": "end", "ts": "2019-05-13T12:00:00Z"});
    serde_json::to_vec(&vec![event; count]).unwrap()
}

/// The status of a batch that is sent with `key`.
fn sent(service: &Service, key: &str, count: usize) -> u16 {
    let headers = [("content-type", "application/json"), ("x-api-key", key)];
    service.client().post("/v1/events", &headers, &batch(count)).unwrap().status
}

impl Place {
    /// Makes a key that may send events.
    fn sender(&self, id: &str, more: &[&str]) -> String {
        self.done(&[&["new", "--id", id, "--rights", "ingest"], more].concat())
            .trim_end()
            .to_owned()
    }

    /// A service that follows the file, at the time of the batches.
    fn service(&self, more: &[&str]) -> Service {
        let (data, file) = (self.dir.path().join("data"), self.file());
        let flags = ["--as-of", "2019-05-13T12:00:00Z", "--keys", file.to_str().unwrap()];
        Service::start(&data, &[&flags[..], more].concat())
    }
}

#[test]
fn keys_are_rotated_while_the_service_runs() {
    let place = Place::new();
    let earlier = place.sender("earlier", &[]);
    let service = place.service(&[]);
    assert_eq!(sent(&service, &earlier, 1), 200);
    let later = place.sender("later", &[]);
    eventually("the new key is valid", || (sent(&service, &later, 1) == 200).then_some(()));
    assert_eq!(sent(&service, &earlier, 1), 200, "both are valid");
    place.done(&["revoke", "--id", "earlier"]);
    eventually("the earlier key is not valid", || {
        (sent(&service, &earlier, 1) == 401).then_some(())
    });

    // A broken file changes nothing; SIGHUP is a reason to look at it, not to stop.
    let text = place.text();
    fs::write(place.file(), format!("{text}quota = 0\n")).unwrap();
    service.signal("HUP");
    let broken = "the earlier keys stay in use";
    eventually("the mistake is logged", || service.said().contains(broken).then_some(()));
    assert!(service.said().contains("`quota` of later is not valid"), "{}", service.said());
    assert_eq!(sent(&service, &later, 1), 200);
    fs::write(place.file(), "").unwrap();
    eventually("no key is valid", || (sent(&service, &later, 1) == 401).then_some(()));
    service.stop();
}

#[test]
fn each_key_has_its_own_quota() {
    let place = Place::new();
    let [one, other] = ["one", "other"].map(|id| place.sender(id, &["--quota", "1"]));
    let free = place.sender("free", &[]);
    let service = place.service(&["--max-batch-events", "100"]);
    assert_eq!(sent(&service, &one, 100), 200);
    assert_eq!(sent(&service, &one, 100), 429);
    assert_eq!(sent(&service, &other, 100), 200);
    for _ in 0..3 {
        assert_eq!(sent(&service, &free, 100), 200);
    }
    service.stop();
}
