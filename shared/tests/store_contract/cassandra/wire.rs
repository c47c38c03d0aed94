//! The requests to Cassandra as a proxy sees them: consistency, number, and retries after faults.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use prometheus::Registry;
use scylla::{frame::protocol_features::ProtocolFeatures, statement::Consistency};
use scylla_proxy::{
    Condition, Node, Proxy, Reaction, RequestFrame, RequestOpcode, RequestReaction, RequestRule,
    RunningProxy, ShardAwareness, example_db_errors::invalid,
};
use shared::{
    session::SessionStart,
    store::{
        CassandraStore, Effect, Sighting, StartPosition, Store, StoreError, Window,
        cassandra::{CassandraOpenError, CassandraOptions, OnRetry, RetryCause},
        config::StoreConfig,
    },
    timestamp::DAY,
};
use test_support::lines::Lines;
use tokio::{sync::mpsc, time::timeout};

use super::{Keyspace, layouts};
use crate::{
    Backend, NOW, absorb, completed, countries, country, counts, end, ever, facts, key, now, scan,
    sessions_of, start, started, starts, starts_in_pieces,
};

/// A store behind a proxy, and the causes of its retries.
struct Proxied {
    keyspace: Keyspace,
    options: CassandraOptions,
    store: Store,
    proxy: RunningProxy,
    causes: Arc<Mutex<Vec<RetryCause>>>,
}

async fn proxied(datacenter: Option<&str>) -> Proxied {
    proxied_with(|options| options.datacenter = datacenter.map(str::to_owned)).await
}

async fn proxied_with(change: impl FnOnce(&mut CassandraOptions)) -> Proxied {
    let keyspace = Keyspace::fresh().await;
    let address: SocketAddr = keyspace.0.nodes[0].parse().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = Node::builder()
        .real_address(address)
        .proxy_address(free)
        .shard_awareness(ShardAwareness::Unaware)
        .build();
    let proxy = Proxy::new([node]).run().await.unwrap();
    let causes = Arc::new(Mutex::new(Vec::new()));
    let retried = Arc::clone(&causes);
    let mut options = CassandraOptions {
        nodes: vec![free.to_string()],
        on_retry: OnRetry::new(move |cause| retried.lock().unwrap().push(cause)),
        ..keyspace.0.clone()
    };
    change(&mut options);
    let store = Store::Cassandra(CassandraStore::open(options.clone()).await.unwrap().into());
    Proxied { keyspace, options, store, proxy, causes }
}

impl Proxied {
    fn rules(&mut self, rules: Vec<RequestRule>) {
        self.proxy.running_nodes[0].change_request_rules(Some(rules));
    }

    /// The reads from now on.
    fn reads(&mut self) -> mpsc::UnboundedReceiver<(RequestFrame, Option<u16>)> {
        let (executed, reads) = mpsc::unbounded_channel();
        let read = Condition::not(Condition::ConnectionRegisteredAnyEvent)
            .and(Condition::RequestOpcode(RequestOpcode::Execute));
        self.rules(vec![RequestRule(
            read,
            RequestReaction::noop().with_feedback_when_performed(executed),
        )]);
        reads
    }

    async fn remove(self) {
        drop(self.store);
        // The proxy reports the connections that the test dropped.
        drop(self.proxy.finish().await);
        self.keyspace.remove().await;
    }
}

fn asked() -> Condition {
    Condition::RequestOpcode(RequestOpcode::Execute)
        .or(Condition::RequestOpcode(RequestOpcode::Batch))
        .or(Condition::RequestOpcode(RequestOpcode::Query))
}

/// Calls every verb of the store.
async fn use_everything(store: &Store) {
    absorb(store, "u", "s", &[start(NOW, "SK"), end(NOW)]).await;
    absorb(store, "u", "t", &[end(NOW), end(NOW + 1)]).await;
    let effects = vec![
        Effect::RecordStart(started("u", "s", NOW, "SK")),
        Effect::Complete(completed("u", "s", NOW, "SK", NOW)),
        Effect::SupersedeStart(started("u", "s", NOW + 1, "SK")),
        Effect::SupersedeCompleted(completed("u", "s", NOW, "SK", NOW + 1)),
    ];
    store.apply(effects, now()).await.unwrap();
    assert_eq!(starts(store, "SK", ever()).await.len(), 1);
    assert_eq!(sessions_of(store, "u").await.len(), 1);
    assert_eq!(store.sessions(&key("u", "s").user, None, 9).await.unwrap().len(), 2);
    assert_eq!(scan(store).await.len(), 2);
    assert_eq!(facts(store, "u", "s").await.ends().len(), 1);
    assert_eq!(countries(store, crate::at(NOW)).await, [country("SK")]);
    let Window { from, to } = ever();
    assert_eq!(counts(store, "SK", Window { from, to }, 1).await.len(), 1);
    store.persist().await.unwrap();
    store.ready().await.unwrap();
}

/// The page size of an EXECUTE that has one: after the id, the consistency, the flags and the
/// values.
fn page_size(frame: &RequestFrame) -> Option<usize> {
    let mut body = &frame.body[..];
    let mut number = |bytes: usize, skipped: usize| {
        let (number, rest) = body[skipped..].split_at(bytes);
        body = rest;
        number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let id = number(2, 0);
    let flags = number(1, id + 2);
    let mut skipped = 0;
    for _ in 0..if flags & 1 == 0 { 0 } else { number(2, 0) } {
        skipped = number(4, skipped);
    }
    (flags & 4 != 0).then(|| number(4, skipped))
}

async fn everything_is_asked_at(consistency: Consistency, datacenter: Option<&str>) {
    let mut proxied = proxied(datacenter).await;
    let ((good, mut at_quorum), (bad, mut otherwise)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let expected = Condition::RequestConsistency(consistency, ProtocolFeatures::default());
    // The driver reads the state of the cluster over a connection of its own.
    let ours = || Condition::not(Condition::ConnectionRegisteredAnyEvent).and(asked());
    proxied.rules(vec![
        RequestRule(
            ours().and(expected),
            RequestReaction::noop().with_feedback_when_performed(good),
        ),
        RequestRule(ours(), RequestReaction::noop().with_feedback_when_performed(bad)),
    ]);
    use_everything(&proxied.store).await;
    let (mut batches, mut executed, mut pages) = (0, 0, Vec::new());
    while let Ok((frame, _)) = at_quorum.try_recv() {
        if frame.opcode == RequestOpcode::Batch {
            batches += 1;
            continue;
        }
        executed += 1;
        pages.extend(page_size(&frame));
    }
    assert!(batches >= 4 && executed >= 10, "{batches} batches and {executed} others");
    // The limit that the check of guardrails asks for.
    assert!(pages.len() >= 9 && pages.iter().all(|rows| *rows <= 2_000), "{pages:?}");
    assert!(otherwise.try_recv().is_err(), "a request at another consistency");
    assert_eq!(*proxied.causes.lock().unwrap(), []);
    proxied.remove().await;
}

#[tokio::test]
async fn with_a_data_centre_everything_is_asked_at_local_quorum() {
    everything_is_asked_at(Consistency::LocalQuorum, Some("datacenter1")).await;
}

#[tokio::test]
async fn without_a_data_centre_everything_is_asked_at_quorum() {
    everything_is_asked_at(Consistency::Quorum, None).await;
}

#[tokio::test]
async fn a_page_asks_for_no_more_than_it_needs() {
    let mut proxied = proxied(None).await;
    let rows: Vec<_> =
        (0..20).map(|n| started("u", &format!("s{n}"), NOW - n * DAY, "SK")).collect();
    let record = rows.iter().cloned().map(Effect::RecordStart).collect::<Vec<_>>();
    proxied.store.apply(record, now()).await.unwrap();
    let mut reads = proxied.reads();
    let mut asked = || std::iter::from_fn(|| reads.try_recv().ok()).count();

    let first = proxied.store.starts(&country("SK"), ever(), None, 1).await.unwrap();
    assert_eq!(first, rows[..1]);
    assert_eq!(asked(), 2, "the list of days, and the first day");

    let SessionStart { ts, session, user, .. } = rows[0].clone();
    let after = Some(StartPosition { ts, session, user });
    assert_eq!(proxied.store.starts(&country("SK"), ever(), after, 1).await.unwrap(), rows[1..2]);
    let asked = asked();
    assert!(asked <= 9, "the list of days, the rest of the first day, and six days ahead: {asked}");
    proxied.remove().await;
}

/// A day of more than 73 partitions: a stream or a count reads a page of each, and holds no more
/// than 50,000 rows.
#[tokio::test]
async fn a_day_of_many_partitions_is_read_once_in_bounded_pages() {
    let mut proxied = proxied_with(|options| options.starts_per_partition = 4).await;
    let rows: Vec<_> =
        (0..300).map(|n| started("u", &format!("s{n:03}"), NOW - n / 20, "SK")).collect();
    for some in rows.chunks(20) {
        let record = some.iter().cloned().map(Effect::RecordStart).collect::<Vec<_>>();
        proxied.store.apply(record, now()).await.unwrap();
    }
    let partitions: usize = layouts(&proxied.keyspace.0).await.values().sum();
    assert!(partitions > 60, "{partitions}");
    let mut reads = proxied.reads();
    let mut pages = || {
        std::iter::from_fn(|| reads.try_recv().ok())
            .filter_map(|(frame, _)| page_size(&frame))
            .collect::<Vec<_>>()
    };

    assert_eq!(starts_in_pieces(&proxied.store, "SK", 10).await, rows);
    assert_eq!(pages().len(), partitions + 1, "the list of partitions, and each partition once");
    let all = proxied.store.all_starts(country("SK"), ever(), None, 10, usize::MAX);
    assert_eq!(all.try_concat().await.unwrap(), rows);
    let asked = pages();
    assert_eq!(asked.len(), partitions + 1);
    let held: usize = asked[1..].iter().sum();
    assert!((10_000..=20_000).contains(&held), "one page of each partition: {held} rows");
    assert_eq!(counts(&proxied.store, "SK", ever(), DAY).await.values().sum::<u64>(), 300);
    let held: usize = pages()[1..].iter().sum();
    assert!((10_000..=17_000).contains(&held), "one page of each partition: {held} rows");
    proxied.remove().await;
}

#[tokio::test]
async fn reads_that_a_query_drops_hold_up_no_other() {
    let proxied = proxied_with(|options| options.max_in_flight = 8).await;
    let rows: Vec<_> =
        (0..20).map(|n| started("u", &format!("s{n}"), NOW - n * DAY, "SK")).collect();
    let record = rows.iter().cloned().map(Effect::RecordStart).collect::<Vec<_>>();
    proxied.store.apply(record, now()).await.unwrap();
    let reads = async {
        for _ in 0..20 {
            // The first days fill the page, so the days read ahead are dropped.
            let page = proxied.store.starts(&country("SK"), ever(), None, 2).await.unwrap();
            assert_eq!(page, rows[..2]);
        }
    };
    // A permit that is kept until the deadline of its request is missing for 12 s.
    timeout(Duration::from_secs(10), reads).await.unwrap();
    proxied.remove().await;
}

/// The read ahead of a streamed reply is not polled while its client does not read.
#[tokio::test]
async fn reads_that_nobody_polls_hold_up_no_other() {
    let proxied = proxied_with(|options| options.max_in_flight = 1).await;
    let (store, key) = (&proxied.store, key("u", "s"));
    let mut unpolled = [Box::pin(store.facts(&key)), Box::pin(store.facts(&key))];
    for read in &mut unpolled {
        // One is in flight, and the other waits for its permit.
        tokio::select! {
            biased;
            _ = read => panic!("answered at once"),
            () = std::future::ready(()) => {}
        }
    }
    let other = timeout(Duration::from_secs(5), store.facts(&key)).await;
    other.expect("the permit was kept").unwrap();
    for read in unpolled {
        read.await.unwrap();
    }
    proxied.remove().await;
}

#[tokio::test]
async fn a_read_that_was_given_up_keeps_its_permit_while_the_servers_work_on_it() {
    let request_timeout = Duration::from_secs(6);
    let mut proxied = proxied_with(|options| {
        options.max_in_flight = 1;
        options.request_timeout = request_timeout;
        options.query_deadline = Some(Duration::from_secs(2));
    })
    .await;
    let once =
        Condition::RequestOpcode(RequestOpcode::Execute).and(Condition::TrueForLimitedTimes(1));
    proxied.rules(vec![RequestRule(once, RequestReaction::drop_frame())]);
    let (begun, key) = (Instant::now(), key("u", "s"));
    let given_up = async {
        let mut interval = tokio::time::interval(Duration::from_millis(10));
        while proxied.causes.lock().unwrap().is_empty() {
            interval.tick().await;
        }
        begun.elapsed()
    };
    let (read, given_up) = tokio::join!(proxied.store.facts(&key), given_up);
    read.unwrap();
    assert!(given_up < request_timeout, "an attempt has half of the deadline: {given_up:?}");
    assert!(begun.elapsed() >= request_timeout, "the retry waits for the permit");
    assert_eq!(*proxied.causes.lock().unwrap(), [RetryCause::Timeout]);
    proxied.remove().await;
}

#[tokio::test]
async fn a_read_of_a_command_is_retried_more_often_than_that_of_a_query() {
    let mut proxied = proxied(None).await;
    let command = StoreConfig::Cassandra(proxied.options.clone().into(), "1".parse().unwrap());
    let (command, key) = (command.open_existing().await.unwrap(), key("u", "s"));
    let outage = || {
        let times = Condition::TrueForLimitedTimes(3);
        let reads = Condition::RequestOpcode(RequestOpcode::Execute).and(times);
        vec![RequestRule(reads, RequestReaction::forge().unavailable())]
    };
    proxied.rules(outage());
    proxied.store.facts(&key).await.unwrap_err();
    proxied.rules(outage());
    command.facts(&key).await.unwrap();
    proxied.remove().await;
}

#[tokio::test]
async fn a_store_that_does_not_reply_is_not_ready_long_before_probes_give_up() {
    let mut proxied = proxied(None).await;
    let reads = Condition::RequestOpcode(RequestOpcode::Execute);
    proxied.rules(vec![RequestRule(reads, RequestReaction::drop_frame())]);
    let silent = proxied.store.ready().await.unwrap_err();
    assert!(silent.to_string().ends_with("no node replied within 2s"), "{silent}");
    proxied.rules(Vec::new());
    proxied.store.ready().await.unwrap();
    proxied.remove().await;
}

#[tokio::test]
async fn a_node_that_accepts_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nodes = vec![silent.local_addr().unwrap().to_string()];
    let opened = CassandraStore::open(CassandraOptions { nodes, ..super::options() });
    let refused = timeout(Duration::from_secs(40), opened).await.expect("it waits for a minute");
    assert!(matches!(refused, Err(CassandraOpenError::Unreachable { .. })), "{refused:?}");
}

/// If they were dropped, they would keep their permits until their deadline.
#[tokio::test]
async fn after_a_failure_the_other_requests_of_the_unit_are_waited_for() {
    let (delay, rows) = (Duration::from_secs(2), 64);
    let mut proxied = proxied(None).await;
    let once =
        || Condition::RequestOpcode(RequestOpcode::Batch).and(Condition::TrueForLimitedTimes(1));
    proxied.rules(vec![
        RequestRule(once(), RequestReaction::forge().syntax_error()),
        RequestRule(once(), RequestReaction::delay(delay)),
    ]);
    let facts = (0..rows).map(|n| end(NOW + n)).collect();
    let (begun, sighting) = (Instant::now(), Sighting { key: key("u", "s"), facts });
    let refused = proxied.store.absorb(vec![sighting], now()).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
    proxied.remove().await;
}

#[tokio::test]
async fn the_limit_in_force_is_a_metric() {
    let mut proxied = proxied_with(|options| options.max_in_flight = 64).await;
    let registry = Registry::new();
    proxied.store.watch(&registry).unwrap();
    let limit = || {
        let metrics = registry.gather();
        let limit = metrics.iter().find(|one| one.name() == "bookend_store_in_flight_limit");
        limit.unwrap().get_metric()[0].get_gauge().get_value()
    };
    assert_eq!(limit(), 64.0);
    let once =
        Condition::RequestOpcode(RequestOpcode::Batch).and(Condition::TrueForLimitedTimes(1));
    proxied.rules(vec![RequestRule(once, RequestReaction::forge().overloaded())]);
    absorb(&proxied.store, "u", "s", &[end(NOW)]).await;
    assert!((32.0..40.0).contains(&limit()), "half, and one for each success: {}", limit());
    proxied.remove().await;
}

#[tokio::test]
async fn faults_that_pass_are_survived_and_told() {
    let mut proxied = proxied(None).await;
    let faults = [
        (RequestReaction::forge().write_timeout(), RetryCause::Timeout),
        (RequestReaction::forge().read_timeout(), RetryCause::Timeout),
        (RequestReaction::forge().unavailable(), RetryCause::Unavailable),
        (RequestReaction::forge().overloaded(), RetryCause::Overloaded),
        (RequestReaction::forge().write_failure(), RetryCause::Failure),
        // Nodes report this while they cannot read the permissions.
        (RequestReaction::forge().unauthorized(), RetryCause::Unauthorized),
        (RequestReaction::drop_connection(), RetryCause::Connection),
    ];
    for (n, (fault, cause)) in faults.into_iter().enumerate() {
        // One write and one read of the write path fail.
        let once = |opcode| Condition::RequestOpcode(opcode).and(Condition::TrueForLimitedTimes(1));
        proxied.rules(vec![
            RequestRule(once(RequestOpcode::Batch), fault.clone()),
            RequestRule(once(RequestOpcode::Execute), fault),
        ]);
        let session = format!("s{n}");
        let known = absorb(&proxied.store, "u", &session, &[start(NOW, "SK"), end(NOW)]).await;
        assert_eq!(known.absorbed, [shared::session::Absorbed::New; 2], "a retry keeps its stamp");
        proxied.rules(Vec::new());
        assert_eq!(facts(&proxied.store, "u", &session).await, known.facts);
        let retried: Vec<_> = proxied.causes.lock().unwrap().drain(..).collect();
        assert!(
            retried.len() >= 2 && retried.iter().all(|retried| *retried == cause),
            "{cause:?}: {retried:?}"
        );
    }
    proxied.remove().await;
}

#[tokio::test]
async fn a_fault_that_stays_is_told_as_unavailable() {
    let mut proxied = proxied(None).await;
    proxied.rules(vec![RequestRule(asked(), RequestReaction::forge().unavailable())]);
    let sighting = Sighting { key: key("u", "s"), facts: vec![end(NOW)] };
    let (lines, guard) = Lines::collect();
    let refused = proxied.store.absorb(vec![sighting], now()).await;
    drop(guard);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let reported = lines.with("request to Cassandra failed");
    assert_eq!(reported.len(), 1, "the first failure is logged, the next ones not: {reported:?}");
    assert_eq!(proxied.causes.lock().unwrap().len(), 5);
    assert!(matches!(proxied.store.ready().await, Err(StoreError::Unavailable(_))));
    proxied.rules(Vec::new());
    proxied.store.ready().await.unwrap();
    proxied.remove().await;
}

/// A partition has room for two starts here. If failed writes counted, the next write would use the
/// layout of eight partitions.
#[tokio::test]
async fn what_is_tried_again_does_not_fill_a_day() {
    let mut proxied = proxied_with(|options| options.starts_per_partition = 2).await;
    let record = |n: i64| vec![Effect::RecordStart(started("u", &format!("s{n}"), NOW + n, "SK"))];
    // The partition is listed now, so only the start itself is written below.
    proxied.store.apply(record(0), now()).await.unwrap();
    proxied.rules(vec![RequestRule(asked(), RequestReaction::forge().syntax_error())]);
    for _ in 0..3 {
        proxied.store.apply(record(1), now()).await.unwrap_err();
    }
    proxied.rules(Vec::new());
    proxied.store.apply(record(1), now()).await.unwrap();
    assert_eq!(layouts(&proxied.keyspace.0).await, BTreeMap::from([(1, 1)]));
    proxied.store.apply(record(2), now()).await.unwrap();
    assert_eq!(layouts(&proxied.keyspace.0).await, BTreeMap::from([(1, 1), (8, 1)]));
    proxied.remove().await;
}

#[tokio::test]
async fn a_refusal_is_told_at_once_and_may_pass() {
    let mut proxied = proxied(None).await;
    let reason = "unconfigured table facts";
    for (refusal, said) in [
        (RequestReaction::forge_with_error_and_message(invalid(), Some(reason.into())), reason),
        (RequestReaction::forge().syntax_error(), "version of the Cassandra nodes"),
        (RequestReaction::forge().config_error(), "version of the Cassandra nodes"),
    ] {
        proxied.rules(vec![RequestRule(asked(), refusal)]);
        let sighting = Sighting { key: key("u", "s"), facts: vec![end(NOW)] };
        let refused = proxied.store.absorb(vec![sighting.clone()], now()).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Refused(_)), "{refused:?}");
        assert!(refused.to_string().contains(said), "{refused}");
        assert!(proxied.store.may_recover_from(&refused));
        let causes: Vec<_> = proxied.causes.lock().unwrap().drain(..).collect();
        assert_eq!(causes, [RetryCause::Refused], "counted once, not retried here");
        proxied.rules(Vec::new());
        proxied.store.absorb(vec![sighting], now()).await.unwrap();
    }
    proxied.remove().await;
}

#[tokio::test]
async fn an_error_that_nobody_knows_passes() {
    let mut proxied = proxied(None).await;
    let once =
        Condition::RequestOpcode(RequestOpcode::Batch).and(Condition::TrueForLimitedTimes(1));
    proxied.rules(vec![RequestRule(once, RequestReaction::forge().other(0x7777))]);
    absorb(&proxied.store, "u", "s", &[end(NOW)]).await;
    assert_eq!(*proxied.causes.lock().unwrap(), [RetryCause::Failure]);
    proxied.remove().await;
}
