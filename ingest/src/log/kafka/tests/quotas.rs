//! Brokers that throttle the producer because of a quota.

use std::time::Instant;

use test_support::quota::limit_producer;

use super::*;

fn left(log: &Log) -> Option<Duration> {
    match log {
        Log::Kafka(log) => log.producer().throttle().refuses(),
        Log::Embedded(_) => panic!("not a log on Kafka"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_brokers_throttle_appends_are_refused_with_the_time_that_is_left() {
    let mut options = fresh(1).await;
    // The quota is only for this test's client.
    options.properties.push(("client.id".to_owned(), options.topic.clone()));
    limit_producer(&options.brokers, &options.topic, Some(3_000.0));
    let log = open(&options).await;
    // Nothing that a compression makes smaller: 90 kB take the quota of 30 s.
    let mut random = 1_u64;
    let value: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 56) as u8
    })
    .take(90_000)
    .collect();
    log.append(vec![record("u", value)]).await.unwrap();
    until("the throttle is noticed", || left(&log).is_some()).await;
    let begun = Instant::now();
    for _ in 0..10 {
        let refused = log.append(records("refused", 1)).await;
        let Err(LogError::Throttled { left }) = refused else { panic!("{refused:?}") };
        assert!(left > Duration::from_secs(2) && left < LIMIT, "{left:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(log.queued(), 0);
    // A process that only waits stays ready.
    log.ready().unwrap();
    until("the throttle is short enough to wait for", || left(&log).is_none()).await;
    log.append(records("served", 1)).await.unwrap();
    let polled = poll(&log, 2).await;
    assert_eq!(polled[1].value.as_deref(), Some(&b"served-0"[..]));
    limit_producer(&options.brokers, &options.topic, None);
}
