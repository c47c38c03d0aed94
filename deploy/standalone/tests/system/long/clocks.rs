//! Processes whose clocks are an hour off, or jump, give the answers of those whose clocks are
//! right.
//!
//! Each process has an embedded log, because the Kafka driver waits until times of the clock.

use std::process::Command;

use crate::{
    backends::Backends,
    client::LINES,
    clocks::own_clock,
    command_line::said,
    data::{Chance, joined, lines},
    model::Model,
    questions::compare,
    reading::events,
    service::{BOOKEND, Service, eventually, serve},
};

/// The offsets of a clock that jumps, in seconds.
const JUMPS: [i64; 4] = [3_600, -3_600, 0, -1_800];

#[test]
fn processes_whose_clocks_are_an_hour_off_or_jump_give_the_same_answers() {
    let data = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let flags = Backends::Cassandra.flags(data[0].path());
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let started = data.iter().zip([0, -3_600, 3_600, 0]).map(|(dir, offset)| {
        let mut command = serve(&dir.path().join("data"), &[]);
        command.args(&flags);
        let clock = own_clock(&mut command, offset);
        (clock, Service::run(command))
    });
    let (clocks, services): (Vec<_>, Vec<_>) = started.unzip();

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
