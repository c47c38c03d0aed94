//! A consumer that is killed at any instant and restarted gives the same answers as one that was
//! not.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use ingest::{
    consumer::{Consumer, ConsumerOptions},
    metrics::ConsumerMetrics,
};
use prometheus::Registry;
use proptest::{collection::vec, prelude::*, test_runner::Config};
use shared::clock::Clock;

use super::{LIMIT, Place, Settings, end, expected, key, start_in};

const USERS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<String>),
    /// Drops the consumer after so many polls of its future.
    Crash {
        polls: usize,
    },
    /// Consumes to the end of the log and stops cleanly.
    Settle,
}

fn an_event() -> impl Strategy<Value = String> {
    let minutes = -6..0_i64;
    (prop::sample::select(USERS.to_vec()), minutes, 0..4).prop_map(|(user, minutes, kind)| {
        match kind {
            0 => start_in(user, minutes, "SK"),
            1 => start_in(user, minutes, "AT"),
            _ => end(user, minutes),
        }
    })
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => vec(an_event(), 1..6).prop_map(Op::Append),
        3 => (1..40_usize).prop_map(|polls| Op::Crash { polls }),
        1 => Just(Op::Settle),
    ]
}

/// Runs a consumer for so many polls of its future. Work already handed to other threads continues,
/// like the disk writes of a killed process.
async fn consume_for(place: &Place, mut polls: usize) {
    let options =
        ConsumerOptions { batch_bytes: 1, commit_interval: Duration::ZERO, ..Default::default() };
    let metrics = Arc::new(ConsumerMetrics::new(&Registry::new()).unwrap());
    let (log, store) = (place.log.clone(), place.store.clone());
    let consumer = Consumer::new(log, store, place.clock, metrics, options);
    let mut run = pin!(consumer.run(std::future::pending()));
    std::future::poll_fn(|cx| {
        polls -= 1;
        let ended = run.as_mut().poll(cx);
        assert!(ended.is_pending(), "{ended:?}");
        if polls == 0 {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Reopens both, once threads of the last consumer have released them.
async fn reopen(place: Place) -> Place {
    let Place { log, store, dir, .. } = place;
    drop((log, store));
    let free = tokio::time::timeout(LIMIT, async {
        while is_held(&dir) {
            tokio::task::yield_now().await;
        }
    });
    free.await.expect("the log or the store is still open");
    Place::open(dir, Settings::default())
}

fn is_held(dir: &tempfile::TempDir) -> bool {
    use ingest::log::{EmbeddedLog, LogOpenError, embedded::EmbeddedLogOptions};
    use shared::store::{EmbeddedStore, embedded};
    let log =
        EmbeddedLog::open(&dir.path().join("log"), EmbeddedLogOptions::default(), Clock::machine());
    let store =
        EmbeddedStore::open(&dir.path().join("store"), embedded::EmbeddedStoreOptions::default());
    matches!(log, Err(LogOpenError::Locked))
        || matches!(store, Err(embedded::EmbeddedStoreOpenError::Locked))
}

async fn play(ops: Vec<Op>) {
    let mut place = Place::new();
    let mut sent = Vec::new();
    for op in ops {
        match op {
            Op::Append(events) => {
                sent.extend(events.clone());
                place.append(events).await;
            }
            Op::Crash { polls } => {
                consume_for(&place, polls).await;
                place = reopen(place).await;
            }
            Op::Settle => {
                place.settle().await;
                place = reopen(place).await;
            }
        }
    }
    place.settle().await;
    for user in USERS {
        assert_eq!(place.answer(user).await, expected(&key(user), &sent), "{user}");
    }
    assert_eq!(place.log.dead_letters(), 0);
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn ended_at_any_instant_it_answers_as_if_it_never_was(ops in vec(an_op(), 1..10)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(ops));
    }
}
