//! The disk fills up while the service runs, and is emptied again.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
};

use serde_json::json;

use crate::{
    client::Client,
    data::{ENDING_AT, generate, joined},
    model::Model,
    questions::compare,
    reading::{Event, Fact, events, instant_of},
    service::{Service, eventually},
};

const MEBIBYTE: u64 = 1 << 20;
const AS_OF: [&str; 2] = ["--as-of", ENDING_AT];

/// A small file system, if this user may mount one. Otherwise a directory in memory with a reserve
/// of nearly its whole size.
struct Disk {
    dir: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"])
            .arg(dir.path())
            .output();
        if mount.is_ok_and(|done| done.status.success()) {
            return Self { dir, mounted: true };
        }
        eprintln!("no file system can be mounted here: the disk is only declared to be small");
        Self { dir: tempfile::tempdir_in("/dev/shm").unwrap(), mounted: false }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn free(&self) -> u64 {
        let df = Command::new("df")
            .args(["-k", "--output=avail"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        text.lines().last().unwrap().trim().parse::<u64>().unwrap() << 10
    }

    /// The reserve with which [`Self::fill`] leaves too little space.
    fn reserve(&self) -> u64 {
        if self.mounted { 16 * MEBIBYTE } else { self.free() - 64 * MEBIBYTE }
    }

    /// Fills a small file system so that at most `bytes` bytes stay free.
    fn fill(&self, leaving: u64) -> PathBuf {
        let path = self.dir.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        let chunk = vec![1; MEBIBYTE as usize];
        for _ in 0..(self.free() - leaving).div_ceil(MEBIBYTE).min(256) {
            if file.write_all(&chunk).is_err() {
                break;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            Command::new("umount").arg("-l").arg(self.dir.path()).status().ok();
        }
    }
}

/// Sends starts one at a time until one is refused. Remembers the accepted ones.
fn post_until_refused(client: Client, taken: &mut Vec<Event>) -> u16 {
    for _ in 0..100_000 {
        let status = post_one(client, taken);
        if status != Some(200) {
            return status.unwrap_or_default();
        }
    }
    panic!("the disk is never full");
}

/// Returns the status; `None` without a reply.
fn post_one(client: Client, taken: &mut Vec<Event>) -> Option<u16> {
    let (session, ts) =
        (format!("one-{}", taken.len()), instant_of("2016-12-01T00:00:00Z") + taken.len() as i64);
    let body = json!([{ "user_id": "u", "session_id": session, "event": "start", "ts": ts, "country": "SK",
        "padding": "x" }]);
    let reply = client.post("/", &[], body.to_string().as_bytes()).ok()?;
    if reply.status == 200 {
        taken.push(Event { user: "u".to_owned(), session, fact: Fact::Start(ts, "SK".to_owned()) });
    } else if reply.status == 503 {
        assert!(reply.header("retry-after").is_some(), "a 503 says when to come again");
    }
    Some(reply.status)
}

fn post_lines(client: Client, lines: &[Vec<u8>]) {
    for batch in lines.chunks(500) {
        let reply = client.post("/v1/events", &[crate::client::LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

fn status(client: Client, path: &str) -> u16 {
    client.get(path).unwrap().status
}

#[test]
fn a_service_whose_disk_fills_up_says_so_and_goes_on_by_itself_when_there_is_room_again() {
    let disk = Disk::new();
    let reserve = disk.reserve().to_string();
    let mut service =
        Service::start(&disk.data(), &[AS_OF[0], AS_OF[1], "--min-free-disk", &reserve]);
    let client = service.client();
    let lines = generate("clean", 500, 41);
    post_lines(client, &lines);
    let mut taken = events(&lines, instant_of(ENDING_AT));

    // The reserve covers writes between two checks of the free space. The next test runs without
    // one.
    let ballast = disk.fill(4 * MEBIBYTE);
    assert_eq!(post_until_refused(client, &mut taken), 503);
    assert!(disk.free() > MEBIBYTE, "the service does not use up what is to stay free");
    eventually("it is not ready", || (status(client, "/readyz") == 503).then_some(()));
    assert_eq!(status(client, "/livez"), 200);
    assert_eq!(status(client, "/user/last-events?days=60"), 200, "it can still be asked");
    assert!(service.is_running());

    fs::remove_file(ballast).unwrap();
    eventually("it takes events again", || {
        (post_one(client, &mut taken) == Some(200)).then_some(())
    });
    eventually("it is ready again", || (status(client, "/readyz") == 200).then_some(()));
    service.wait_until_answered(taken.len());
    compare(client, &Model::new(&taken));
    service.stop();
}

#[test]
fn a_disk_that_others_fill_to_the_last_byte_costs_no_acknowledged_event() {
    let disk = Disk::new();
    // Without a reserve, writes fail at the end of the disk. This needs a small file system.
    let reserve = if disk.mounted { 0 } else { disk.reserve() }.to_string();
    let flags = [AS_OF[0], AS_OF[1], "--min-free-disk", &reserve];
    let mut service = Service::start(&disk.data(), &flags);
    let client = service.client();
    let lines = generate("clean", 500, 42);
    post_lines(client, &lines);
    let mut taken = events(&lines, instant_of(ENDING_AT));

    let ballast = disk.fill(0);
    let refused = post_until_refused(client, &mut taken);
    // The process may also have exited if the store could not write. Then there is no reply.
    assert!([0, 503].contains(&refused), "{refused}");
    fs::remove_file(ballast).unwrap();
    if service.is_running()
        && eventually("it recovers or ends", || {
            let running = service.is_running();
            (!running || post_one(client, &mut taken) == Some(200)).then_some(running)
        })
    {
        eprintln!("it went on by itself");
        service.wait_until_answered(taken.len());
        compare(client, &Model::new(&taken));
        service.stop();
    } else {
        assert_eq!(service.ended().code(), Some(1), "it ends in order: {}", service.said());
        eprintln!("it ended: {}", service.said().lines().last().unwrap_or_default());
    }

    let service = Service::start(&disk.data(), &flags);
    service.wait_until_answered(0);
    compare(service.client(), &Model::new(&taken));
}

#[test]
fn with_less_room_than_is_to_stay_free_nothing_is_taken_and_after_a_restart_with_enough_all_is_well()
 {
    let data = tempfile::tempdir().unwrap();
    let lines = generate("clean", 100, 43);
    let taken = events(&lines, instant_of(ENDING_AT));
    let service = Service::start(data.path(), &AS_OF);
    post_lines(service.client(), &lines);
    service.stop();

    let service = Service::begin(crate::service::serve(
        data.path(),
        &[AS_OF[0], AS_OF[1], "--min-free-disk", "1000000GiB"],
    ));
    let client = service.client();
    assert_eq!(status(client, "/readyz"), 503);
    assert_eq!(post_one(client, &mut Vec::new()), Some(503));
    assert_eq!(status(client, "/livez"), 200);
    service.stop();

    let service = Service::start(data.path(), &AS_OF);
    service.wait_until_answered(0);
    compare(service.client(), &Model::new(&taken));
}
