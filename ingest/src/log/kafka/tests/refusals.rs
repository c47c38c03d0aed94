//! Records that the brokers refuse until an operator changes a setting.

use super::{findings::create, *};
use crate::log::RefusalCause;

/// The cause for which the brokers refuse `records`.
async fn refused(log: &Log, records: Vec<NewRecord>) -> RefusalCause {
    match log.append(records).await {
        Err(LogError::Refused { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

/// Options for a topic whose requests may have this many bytes.
pub(super) async fn limited(bytes: &str, partitions: i32) -> KafkaLogOptions {
    let options = absent().await;
    create(&options, &options.topic, partitions, &[("max.message.bytes", bytes)]).await;
    setup(&options, partitions, 1).await.unwrap();
    options
}

/// A record that no compression makes smaller.
pub(super) fn incompressible(key: &str, bytes: usize) -> NewRecord {
    let mut random = key.bytes().fold(1_u64, |sum, byte| 31 * sum + u64::from(byte));
    let value: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 56) as u8
    })
    .take(bytes)
    .collect();
    record(key, value)
}

#[tokio::test]
async fn a_record_above_the_limit_is_refused_and_the_others_of_its_topic_are_taken() {
    let options = limited("2000", 1).await;
    let log = open(&options).await;
    assert_eq!(refused(&log, vec![incompressible("u", 3_000)]).await, RefusalCause::TooLarge);
    log.append(vec![incompressible("u", 1_000)]).await.unwrap();
    assert_eq!(poll(&log, 1).await.len(), 1);
}

#[tokio::test]
async fn records_that_each_fit_are_taken_together_with_the_batch_size_that_the_finding_names() {
    let options = limited("20000", 1).await;
    let records = || (0..200).map(|n| incompressible(&format!("u{n}"), 1_000)).collect::<Vec<_>>();
    let log = open(&options).await;
    assert_eq!(refused(&log, records()).await, RefusalCause::TooLarge);
    let report = setup(&options, 1, 1).await.unwrap();
    let remedy = "--kafka-property batch.size=20000";
    assert!(report.lines.iter().any(|line| line.contains(remedy)), "{report:?}");
    let properties = vec![("batch.size".to_owned(), "20000".to_owned())];
    let log = open(&KafkaLogOptions { properties, ..options }).await;
    log.append(records()).await.unwrap();
}

#[tokio::test]
async fn a_time_that_the_topic_does_not_take_is_named() {
    let options = absent().await;
    // The record is always some milliseconds old when it arrives.
    let settings =
        [("message.timestamp.type", "CreateTime"), ("message.timestamp.before.max.ms", "0")];
    create(&options, &options.topic, 1, &settings).await;
    setup(&options, 1, 1).await.unwrap();
    let log = open(&options).await;
    let mut outcome = log.append(records("r", 1)).await;
    while outcome.is_ok() {
        outcome = log.append(records("r", 1)).await;
    }
    let cause = outcome.unwrap_err();
    let invalid = RefusalCause::InvalidTime;
    assert!(matches!(&cause, LogError::Refused { cause, .. } if *cause == invalid), "{cause}");
}

#[tokio::test]
async fn a_compacted_topic_refuses_a_record_without_a_key() {
    let options = absent().await;
    create(&options, &options.topic, 1, &[("cleanup.policy", "compact")]).await;
    setup(&options, 1, 1).await.unwrap();
    let log = open(&options).await;
    let without = NewRecord { key: None, ..record("u", "event") };
    assert_eq!(refused(&log, vec![without]).await, RefusalCause::InvalidRecord);
    log.append(records("with", 1)).await.unwrap();
}
