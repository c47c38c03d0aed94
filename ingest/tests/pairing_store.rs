//! Handling, storing and querying together, against a naive model: random micro-batches,
//! repetitions, crashes at any place, zombies, restarts and sweeps. Queries run at a time that
//! moves over the year.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "pairing_store/home.rs"]
mod home;
#[path = "pairing_store/model.rs"]
mod model;
#[path = "pairing_store/ops.rs"]
mod ops;
#[path = "pairing_store/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use ingest::pairing::{Arrival, decide};
use proptest::{collection::vec, prelude::*};
use shared::{
    clock::Clock,
    event::{Country, SessionId, UserId},
    session::{Absorbed, CompletedSession, Fact, SessionKey, SessionStart, Start, Status},
    store::{
        CassandraStore, Effect, EmbeddedStore, SessionPosition, Sighting, StartPosition, Store,
        Window,
        cassandra::{CassandraOptions, setup},
        embedded::EmbeddedStoreOptions,
    },
    timestamp::{DAY, HOUR, RETENTION, Timestamp},
};
use tempfile::TempDir;
use test_support::stack;

use self::{
    home::Home,
    model::{Model, time},
    ops::{Op, an_op},
    world::World,
};

/// The time at which every run begins. Events are within the year before it, at its limits, and
/// outside.
const BEGIN: i64 = 1_700_000_000_000;
/// Times are on a coarse grid, so that many are equal, with steps of a millisecond around each
/// limit.
const GRID: i64 = RETENTION / 4;

type Seen = (SessionKey, Fact);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn key(user: &str, session: &str) -> SessionKey {
    SessionKey { user: UserId::new(user).unwrap(), session: SessionId::new(session).unwrap() }
}

fn run(ops: Vec<Op>) {
    run_in(async { Home::dir() }, ops);
}

fn run_in(home: impl Future<Output = Home>, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(home.await).await;
        for op in ops {
            world.run(op).await;
        }
        world.look(BEGIN - RETENTION, BEGIN, 2).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_answers_are_a_function_of_the_events_and_the_instant(ops in vec(an_op(), 1..40)) {
        run(ops);
    }
}

proptest! {
    // Each one is a keyspace of its own.
    #![proptest_config(ProptestConfig {
        cases: 8,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn on_cassandra_too_the_answers_are_a_function_of_the_events_and_the_instant(ops in vec(an_op(), 1..25)) {
        run_in(Home::keyspace(), ops);
    }
}

fn start(ms: i64, country: &str) -> Seen {
    (key("u", "s"), Fact::Start(Start { ts: at(ms), country: Country::normalise(country) }))
}

fn end(ms: i64) -> Seen {
    (key("u", "s"), Fact::End(at(ms)))
}

const LOOK: Op = Op::Look { from: BEGIN - RETENTION, to: BEGIN, page: 1 };

#[test]
fn a_later_start_of_a_session_that_was_swept_in_part_makes_its_country_known_all_the_same() {
    run(vec![
        Op::Handle(vec![start(BEGIN - RETENTION, "AT"), end(BEGIN)]),
        Op::Advance(GRID),
        Op::Sweep,
        Op::Handle(vec![start(BEGIN, "SK")]),
        LOOK,
    ]);
}

#[test]
fn what_was_made_durable_survives_a_crash() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(Home::dir()).await;
        world.handle(vec![start(BEGIN - 1, "SK"), end(BEGIN)]).await;
        world.persist().await;
        world.crash().await;
        assert!(world.undone.is_empty());
        world.look(BEGIN - RETENTION, BEGIN, 1).await;
    });
}

/// The handler stops between the facts and the markers, and a sweep precedes the redelivery.
#[test]
fn a_start_that_was_swept_before_its_handling_was_repeated_supersedes_the_later_one() {
    run(vec![
        Op::Handle(vec![start(BEGIN - 1, "SK"), end(BEGIN)]),
        Op::Persist,
        Op::Zombie(vec![start(BEGIN - RETENTION, "AT")]),
        Op::Advance(1),
        Op::Sweep,
        LOOK,
    ]);
}

#[test]
fn an_end_that_comes_after_its_start_was_swept_is_no_orphan() {
    run(vec![
        Op::Handle(vec![start(BEGIN - RETENTION, "AT"), end(BEGIN - 1)]),
        Op::Advance(1),
        Op::Sweep,
        Op::Handle(vec![end(BEGIN)]),
        LOOK,
        Op::Reopen,
        LOOK,
    ]);
}

#[test]
fn a_zombie_that_wakes_after_a_smaller_start_came_shows_no_phantom() {
    run(vec![
        Op::Zombie(vec![start(BEGIN - 2, "SK"), end(BEGIN)]),
        Op::Handle(vec![start(BEGIN - 3, "AT")]),
        Op::Awaken,
        LOOK,
    ]);
}
