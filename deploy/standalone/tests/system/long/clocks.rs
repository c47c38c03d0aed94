//! Processes whose clocks are an hour off, or jump, give the answers of those whose clocks are
//! right.
//!
//! The clocks are those of libfaketime: each process reads its offset from a file. Each has an
//! embedded log, because the Kafka driver waits by calls that the library does not change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    backends::Backends,
    client::LINES,
    clocks::faketime,
    command_line::said,
    data::{Chance, joined, lines},
    model::Model,
    questions::compare,
    reading::events,
    service::{BOOKEND, Service, eventually, serve},
};

/// The offsets of a clock that jumps, in seconds.
const JUMPS: [&str; 4] = ["+3600", "-3600", "+0", "-1800"];

/// A clock of a process.
struct FakeClock(PathBuf);

impl FakeClock {
    fn new(dir: &Path, offset: &str) -> Self {
        let clock = Self(dir.join("clock"));
        clock.set(offset);
        clock
    }

    fn set(&self, offset: &str) {
        // Renamed, because the library may read the file at any moment.
        let new = self.0.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

#[test]
fn processes_whose_clocks_are_an_hour_off_or_jump_give_the_same_answers() {
    let data = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let flags = Backends::Cassandra.flags(data[0].path());
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let clocks = ["+0", "-3600", "+3600", "+0"];
    let clocks: Vec<_> =
        data.iter().zip(clocks).map(|(dir, offset)| FakeClock::new(dir.path(), offset)).collect();
    let services: Vec<_> = (data.iter().zip(&clocks))
        .map(|(dir, clock)| {
            let mut command = serve(&dir.path().join("data"), &[]);
            command.args(&flags).env("LD_PRELOAD", faketime());
            command.env("FAKETIME_TIMESTAMP_FILE", &clock.0).env("FAKETIME_CACHE_DURATION", "1");
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            Service::run(command)
        })
        .collect();

    // A process whose clock is late must not take the events for future ones.
    let ending = shared::clock::Clock::machine().now() - 2 * shared::timestamp::HOUR;
    let ending = ending.to_string();
    let made = ["generate", "--profile", "hostile", "--sessions", "1500", "--seed", "71"];
    let made = Command::new(BOOKEND).env_clear().args(made).args(["--ending-at", &ending]).output();
    let mut lines = lines(&made.unwrap().stdout);
    Chance::new(72).shuffle(&mut lines);
    let now = shared::clock::Clock::machine().now().millis();
    let mut accepted = [0; 4];
    for (number, batch) in lines.chunks(50).enumerate() {
        clocks[3].set(JUMPS[number / 20 % JUMPS.len()]);
        let (at, body) = (number % services.len(), joined(batch));
        let reply = services[at].client().post("/v1/events", &[LINES], &body).unwrap();
        accepted[at] += reply.json()["accepted"].as_u64().unwrap_or(0);
    }
    for (service, accepted) in services.iter().zip(accepted) {
        eventually("all is consumed", || {
            let metrics = service.metrics();
            let done = metrics.sum("bookend_consumer_records_total") >= accepted as f64;
            (done && metrics.sum("bookend_consumer_lag_records") == 0.0).then_some(())
        });
        assert!(accepted > 0);
        assert_eq!(service.metrics().sum("bookend_dead_letters_total"), 0.0);
    }
    compare(services[0].client(), &Model::new(&events(&lines, now)));
    services.into_iter().for_each(Service::stop);
}
