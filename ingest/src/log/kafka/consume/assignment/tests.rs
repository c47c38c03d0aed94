//! The records that may be polled and the offsets that may be committed, without a broker.

use std::{sync::Arc, thread};

use shared::timestamp::Timestamp;

use super::{super::super::record, *};

const LONG: Duration = Duration::from_secs(60);

fn record(partition: Partition, offset: i64) -> Record {
    let value = Some(vec![b'x'; 100].into());
    Record { partition, offset, value, ..Record::default() }
}

/// An assignment of partitions 0 and 1 with three buffered records of each.
fn filled() -> Assignment {
    let assignment = Assignment::new(10_000);
    assignment.gain([(0, Some(5)), (1, Some(5))]);
    for offset in 5..8 {
        assignment.push(record(0, offset));
        assignment.push(record(1, offset));
    }
    assignment
}

fn committed(assignment: &Assignment, offsets: &Offsets) -> Offsets {
    let due = assignment.begin_commit(offsets);
    if !due.is_empty() {
        assignment.end_commit(&due, true);
    }
    due
}

#[test]
fn only_what_was_handed_out_of_our_partitions_is_committed_and_only_forward() {
    let assignment = filled();
    assert_eq!(committed(&assignment, &[(0, 6)].into()), Offsets::new());
    assert_eq!(assignment.take(1).0.len(), 1);
    assert_eq!(committed(&assignment, &[(0, 6), (1, 6), (7, 1)].into()), [(0, 6)].into());
    assert_eq!(committed(&assignment, &[(0, 6)].into()), Offsets::new());
    assert_eq!(committed(&assignment, &[(0, 2)].into()), Offsets::new());
}

#[test]
fn what_retention_removed_before_it_was_fetched_is_counted_once() {
    let assignment = filled();
    assignment.gain([(2, Some(10))]);
    // Partitions 0 and 1 are fetched up to 8.
    assert_eq!(assignment.removed(&[(0, 8), (1, 20), (2, 10), (3, 5)].into()), [(1, 12)].into());
    assert_eq!(assignment.removed(&[(0, 8), (1, 21), (2, 13)].into()), [(1, 1), (2, 3)].into());
    assert_eq!(assignment.removed(&[(1, 21), (2, 13)].into()), Offsets::new());
}

#[test]
fn what_retention_removed_while_it_was_fetched_is_counted_once() {
    let assignment = filled();
    // The driver found 8 to 19 removed, and continued with the oldest record.
    assignment.push(record(0, 20));
    // Two offsets are transaction markers.
    assignment.push(record(1, 10));
    // The first query may have begun before the gap.
    assert_eq!(assignment.removed(&[(0, 0), (1, 0)].into()), Offsets::new());
    assert_eq!(assignment.removed(&[(0, 15), (1, 0)].into()), [(0, 7)].into());
    assert_eq!(assignment.removed(&[(0, 21), (1, 11)].into()), Offsets::new());
    // Offsets that were counted while nothing was fetched are not counted again.
    assert_eq!(assignment.removed(&[(0, 30)].into()), [(0, 9)].into());
    assignment.push(record(0, 30));
    assignment.push(record(0, 40));
    assert_eq!(assignment.removed(&[(0, 40)].into()), [(0, 9)].into());
    assert_eq!(assignment.removed(&[(0, 41)].into()), Offsets::new());
}

#[test]
fn a_partition_whose_oldest_record_was_not_known_has_lost_none() {
    let assignment = Assignment::new(10_000);
    assignment.gain([(0, None), (1, None)]);
    assert_eq!(assignment.removed(&[(0, 1_000)].into()), Offsets::new());
    assert_eq!(assignment.removed(&[(0, 1_001)].into()), [(0, 1)].into());
    assignment.push(record(1, 1_000));
    assert_eq!(assignment.removed(&[(1, 1_000)].into()), Offsets::new());
}

#[test]
fn a_lost_partition_s_waiting_records_are_not_handed_out() {
    let assignment = filled();
    assert_eq!(assignment.lose(&[0], Duration::ZERO), 0);
    let (records, ends) = assignment.take(usize::MAX);
    assert!(records.iter().all(|record| record.partition == 1));
    assert_eq!((records.len(), ends), (3, [(1, 8)].into()));
    assert!(!assignment.push(record(0, 8)));
    assert!(assignment.take(usize::MAX).0.is_empty());
}

#[test]
fn a_lost_partition_waits_for_the_commit_of_what_was_handed_out() {
    let assignment = Arc::new(filled());
    assignment.take(usize::MAX);
    let losing = thread::spawn({
        let assignment = Arc::clone(&assignment);
        move || assignment.lose(&[0], LONG)
    });
    committed(&assignment, &[(0, 7)].into());
    committed(&assignment, &[(0, 8)].into());
    assert_eq!(losing.join().unwrap(), 0);
    // It was polled, but another member owns it now.
    assert_eq!(committed(&assignment, &[(0, 8), (1, 8)].into()), [(1, 8)].into());
}

#[test]
fn a_lost_partition_does_not_wait_longer_than_it_may() {
    let assignment = filled();
    assignment.take(usize::MAX);
    assert_eq!(assignment.lose(&[0, 1], Duration::from_millis(1)), 2);
}

#[test]
fn a_lost_partition_does_not_wait_for_a_member_at_its_end() {
    let assignment = filled();
    assignment.take(usize::MAX);
    assignment.end();
    assert_eq!(assignment.lose(&[0], LONG), 1);
    assert_eq!(committed(&assignment, &[(1, 8)].into()), Offsets::new());
}

#[test]
fn a_partition_that_comes_back_begins_anew() {
    let assignment = filled();
    assignment.take(usize::MAX);
    assignment.lose(&[0], Duration::ZERO);
    assignment.gain([(0, Some(0))]);
    // From the time before: the record is delivered again.
    assert_eq!(committed(&assignment, &[(0, 8)].into()), Offsets::new());
    assignment.push(record(0, 5));
    assignment.take(1);
    // The record is polled again, and nobody has handled it yet.
    assert_eq!(committed(&assignment, &[(0, 8)].into()), Offsets::new());
    assert_eq!(committed(&assignment, &[(0, 6)].into()), [(0, 6)].into());
}

#[test]
fn records_of_one_partition_are_handed_out_together_and_in_order() {
    let (taken, ends) = filled().take(usize::MAX);
    let taken: Vec<_> = taken.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(taken, [(0, 5), (0, 6), (0, 7), (1, 5), (1, 6), (1, 7)]);
    assert_eq!(ends, [(0, 8), (1, 8)].into());
}

#[test]
fn a_partition_that_always_has_more_waits_for_the_others() {
    let assignment = filled();
    let next = || {
        let (taken, _) = assignment.take(2 * record::size(&record(0, 0)));
        // The partition never runs dry.
        assignment.push(record(0, 100));
        assignment.push(record(0, 101));
        taken.iter().map(|record| (record.partition, record.offset)).collect::<Vec<_>>()
    };
    assert_eq!(next(), [(0, 5), (0, 6)]);
    assert_eq!(next(), [(1, 5), (1, 6)]);
    assert_eq!(next(), [(0, 7), (0, 100)]);
    assert_eq!(next(), [(1, 7)], "half of the bytes is enough not to start another partition");
}

#[test]
fn the_oldest_that_waits_is_the_first_of_some_partition() {
    let assignment = Assignment::new(10_000);
    assignment.gain([(0, Some(0)), (1, Some(0))]);
    assert_eq!(assignment.oldest_waiting(), None);
    let at = |millis| Timestamp::from_millis(millis).unwrap();
    for (partition, offset, appended) in [(0, 0, 30), (0, 1, 40), (1, 0, 20), (1, 1, 50)] {
        assignment.push(Record { append_time: at(appended), ..record(partition, offset) });
    }
    assert_eq!(assignment.oldest_waiting(), Some(at(20)));
    assignment.lose(&[1], Duration::ZERO);
    assert_eq!(assignment.oldest_waiting(), Some(at(30)));
    assignment.take(1);
    assert_eq!(assignment.oldest_waiting(), Some(at(40)));
}

#[test]
fn what_is_handed_out_makes_room() {
    let assignment = filled();
    assignment.take(1);
    assignment.lose(&[1], Duration::ZERO);
    assignment.take(usize::MAX);
    assert!(assignment.fetch_plan(FetchPlan::NOTHING).includes(0));
    assert_eq!(assignment.state.lock().buffer.bytes(), 0);
}

#[test]
fn nothing_is_fetched_from_when_the_room_is_taken_until_a_quarter_of_it_is_free() {
    let assignment = Assignment::new(8 * record::size(&record(0, 0)));
    assignment.gain([(0, Some(0))]);
    let mut plan = FetchPlan::NOTHING;
    let mut fetches = || {
        plan = assignment.fetch_plan(plan);
        plan.includes(0)
    };
    for offset in 0..8 {
        assert!(fetches());
        assignment.push(record(0, offset));
    }
    assert!(!fetches());
    for free in 1..=3 {
        assignment.take(1);
        assert_eq!(fetches(), free == 3, "{free} of 8 records were polled");
    }
}

#[test]
fn once_an_eighth_of_the_room_is_taken_one_partition_after_the_other_fills_half_of_it() {
    let assignment = Assignment::new(16 * record::size(&record(0, 0)));
    assignment.gain([(0, Some(0)), (1, Some(0)), (2, Some(0))]);
    let fetched = || {
        let plan = assignment.fetch_plan(FetchPlan::NOTHING);
        (0..3).filter(|partition| plan.includes(*partition)).collect::<Vec<_>>()
    };
    let push = |partition, offsets: std::ops::Range<i64>| {
        for offset in offsets {
            assignment.push(record(partition, offset));
        }
    };
    assert_eq!(fetched(), [0, 1, 2]);
    push(1, 0..1);
    assert_eq!(fetched(), [0, 1, 2]);
    push(0, 0..1);
    push(2, 0..1);
    assert_eq!(fetched(), [1]);
    push(1, 1..7);
    assert_eq!(fetched(), [1]);
    push(1, 7..8);
    assert_eq!(fetched(), [0], "partition 1 fills half of the buffer");
    assignment.at_end(0);
    assert_eq!(fetched(), [2], "partition 0 has no more records");
    push(0, 1..2);
    assert_eq!(fetched(), [0], "partition 0 has more again");
    assignment.take(6 * record::size(&record(0, 0)));
    assert_eq!(fetched(), [0], "the rest of partition 1 waits for the others");
    push(0, 2..8);
    assert_eq!(fetched(), [2]);
    assignment.at_end(1);
    assignment.at_end(2);
    assert_eq!(fetched(), [0, 1, 2], "no partition is known to have more");
    // The driver forgets that partitions were paused when it loses them.
    let before = assignment.fetch_plan(FetchPlan::NOTHING);
    assignment.lose(&[7], Duration::ZERO);
    assignment.gain([(7, Some(0))]);
    assert_ne!(assignment.fetch_plan(before), before);
}

#[test]
fn records_that_nobody_fetches_are_a_stall_and_records_that_nobody_polls_are_none() {
    let longer = [(0, Position { committed: 5, end: 20 })].into();
    let assignment = Assignment::new(10_000);
    assert!(!assignment.is_stalled(&longer, Duration::ZERO));
    assignment.gain([(0, Some(0))]);
    assert!(!assignment.is_stalled(&longer, LONG));
    assert!(assignment.is_stalled(&longer, Duration::ZERO));
    assignment.push(record(0, 18));
    assert!(!assignment.is_stalled(&longer, Duration::ZERO));
    assignment.take(1);
    assert!(assignment.is_stalled(&longer, Duration::ZERO));
    assignment.push(record(0, 19));
    assignment.take(1);
    // All records are with the caller.
    assert!(!assignment.is_stalled(&longer, Duration::ZERO));
}

#[test]
fn neither_a_long_rest_nor_an_outage_is_a_stall() {
    let (quiet, longer) = (
        [(0, Position { committed: 5, end: 5 })].into(),
        [(0, Position { committed: 5, end: 20 })].into(),
    );
    let (assignment, limit) = (Assignment::new(10_000), Duration::from_millis(20));
    assignment.gain([(0, Some(0))]);
    thread::park_timeout(2 * limit);
    assert!(!assignment.is_stalled(&quiet, limit));
    assert!(!assignment.is_stalled(&longer, limit));
    thread::park_timeout(2 * limit);
    assignment.excuse();
    assert!(!assignment.is_stalled(&longer, limit));
    thread::park_timeout(2 * limit);
    assert!(assignment.is_stalled(&longer, limit));
}

#[test]
fn commits_that_are_always_refused_are_a_stall() {
    let assignment = filled();
    assignment.take(usize::MAX);
    let due = assignment.begin_commit(&[(0, 8)].into());
    assignment.end_commit(&due, false);
    assert!(assignment.is_stalled(&BTreeMap::new(), Duration::ZERO));
    assert_eq!(committed(&assignment, &[(0, 8)].into()), [(0, 8)].into());
    assert!(!assignment.is_stalled(&BTreeMap::new(), Duration::ZERO));
}

#[test]
fn only_a_partition_with_nothing_fetched_is_passed() {
    let positions =
        [(0, Position { committed: 5, end: 9 }), (1, Position { committed: 5, end: 9 })].into();
    let assignment = Assignment::new(10_000);
    assignment.gain([(0, Some(0)), (1, Some(0))]);
    assert_eq!(assignment.idle(&positions), positions);
    assignment.push(record(0, 5));
    assert!(assignment.idle(&positions).is_empty());
    assignment.take(1);
    assert_eq!(assignment.idle(&positions).into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(assignment.begin_commit_ends(&[(0, 9), (1, 9), (2, 9)].into()), [(1, 9)].into());
}

#[test]
fn many_small_records_are_no_small_batch() {
    let assignment = Assignment::new(1 << 20);
    assignment.gain([(0, Some(0))]);
    for offset in 0..1_000 {
        assignment.push(Record { value: None, ..record(0, offset) });
    }
    let (records, _) = assignment.take(10_000);
    assert!((10..=100).contains(&records.len()), "{}", records.len());
}
