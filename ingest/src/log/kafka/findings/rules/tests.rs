//! Each setting with a value at the limit, and what the finding says.

use super::*;

const NEEDS: Needs = Needs { event: 1_000, letter: 1_024, batch: 1_000_000 };

/// The settings that `setup` gives to a topic with three replicas, with some changed.
fn topic(changed: &[(&str, &str)]) -> TopicSettings {
    let defaults = [
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "2"),
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ];
    let all = defaults.iter().chain(changed);
    let values = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TopicSettings { values, replicas: Some(3) }
}

fn letters(changed: &[(&str, &str)]) -> TopicSettings {
    topic(&[&[("max.message.bytes", "2097152"), ("retention.ms", "-1")], changed].concat())
}

/// The kinds and severities found about the topic of the events.
fn of_events(settings: &TopicSettings) -> Vec<(Kind, Severity)> {
    let found = findings(Some(settings), Some(&letters(&[])), &NEEDS);
    assert!(found.iter().all(|(purpose, _)| *purpose == Purpose::Events), "{found:?}");
    found.iter().map(|(_, finding)| (finding.kind, finding.severity)).collect()
}

fn of_letters(settings: &TopicSettings) -> Vec<(Kind, Severity)> {
    let found = findings(Some(&topic(&[])), Some(settings), &NEEDS);
    assert!(found.iter().all(|(purpose, _)| *purpose == Purpose::DeadLetters), "{found:?}");
    found.iter().map(|(_, finding)| (finding.kind, finding.severity)).collect()
}

#[test]
fn the_topics_of_setup_have_no_finding() {
    assert_eq!(findings(Some(&topic(&[])), Some(&letters(&[])), &NEEDS), []);
    let alone = TopicSettings { replicas: Some(1), ..topic(&[("min.insync.replicas", "1")]) };
    assert_eq!(of_events(&alone), []);
    assert_eq!(findings(None, None, &NEEDS), []);
}

#[test]
fn each_setting_has_its_finding_and_the_value_at_its_limit_has_none() {
    use Kind::*;
    use Severity::{Blocking, Error, Warning};
    let events = [
        ("max.message.bytes", "999", Some((RecordLimit, Blocking))),
        ("max.message.bytes", "1000", Some((BatchLimit, Warning))),
        ("max.message.bytes", "999999", Some((BatchLimit, Warning))),
        ("max.message.bytes", "1000000", None),
        ("cleanup.policy", "compact", Some((Compaction, Error))),
        ("cleanup.policy", "compact,delete", Some((Compaction, Error))),
        ("cleanup.policy", "", None),
        ("retention.ms", "3599999", Some((ShortRetention, Warning))),
        ("retention.ms", "0", Some((ShortRetention, Warning))),
        ("retention.ms", "3600000", None),
        ("retention.ms", "-1", None),
        ("message.timestamp.type", "CreateTime", Some((CreateTime, Warning))),
        ("message.timestamp.after.max.ms", "0", None),
        ("min.insync.replicas", "1", Some((OneInSync, Warning))),
        ("min.insync.replicas", "4", Some((TooManyInSync, Blocking))),
        ("min.insync.replicas", "3", None),
        ("unclean.leader.election.enable", "true", Some((UncleanElection, Warning))),
    ];
    for (name, value, expected) in events {
        let found = of_events(&topic(&[(name, value)]));
        assert_eq!(found, Vec::from_iter(expected), "{name}={value}");
    }
    let of_dead_letters = [
        ("max.message.bytes", "1023", Some((RecordLimit, Blocking))),
        ("max.message.bytes", "1049611", Some((LetterLimit, Warning))),
        ("max.message.bytes", "1049612", None),
        ("cleanup.policy", "compact", Some((Compaction, Error))),
        ("retention.ms", "60000", Some((ShortRetention, Warning))),
        ("message.timestamp.type", "CreateTime", None),
        ("min.insync.replicas", "4", Some((TooManyInSync, Blocking))),
    ];
    for (name, value, expected) in of_dead_letters {
        let found = of_letters(&letters(&[(name, value)]));
        assert_eq!(found, Vec::from_iter(expected), "{name}={value}");
    }
    let both = of_letters(&letters(&[("max.message.bytes", "1024")]));
    assert_eq!(both, [(BatchLimit, Warning), (LetterLimit, Warning)]);
}

#[test]
fn where_producers_set_the_time_the_brokers_must_take_clocks_that_differ() {
    for name in [
        "message.timestamp.before.max.ms",
        "message.timestamp.after.max.ms",
        "message.timestamp.difference.max.ms",
    ] {
        for (range, found) in [("299999", true), ("300000", false)] {
            let settings = [("message.timestamp.type", "CreateTime"), (name, range)];
            let kinds = of_events(&topic(&settings));
            let narrow = kinds.contains(&(Kind::TimestampRange, Severity::Warning));
            assert_eq!(narrow, found, "{name}={range}");
            assert_eq!(!of_letters(&letters(&settings)).is_empty(), found, "{name}={range}");
        }
    }
}

#[test]
fn one_replica_needs_no_quorum_and_elects_no_other() {
    let settings =
        topic(&[("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")]);
    assert_eq!(of_events(&TopicSettings { replicas: Some(1), ..settings.clone() }), []);
    // Without the number of replicas nothing is said about them.
    let unknown = TopicSettings { replicas: None, ..settings };
    assert_eq!(of_events(&unknown), [(Kind::UncleanElection, Severity::Warning)]);
    let more = TopicSettings { replicas: Some(1), ..topic(&[]) };
    assert_eq!(of_events(&more), [(Kind::TooManyInSync, Severity::Blocking)]);
}

#[test]
fn a_finding_names_the_setting_what_it_causes_and_what_to_do() {
    let changed = topic(&[("cleanup.policy", "compact,delete"), ("min.insync.replicas", "4")]);
    let found = findings(Some(&changed), None, &NEEDS);
    let texts: Vec<_> = found.iter().map(|(_, finding)| finding.text.as_str()).collect();
    let expected = [
        "cleanup.policy=compact,delete: records of one user replace each other, and events that are not consumed yet or \
         are replayed are lost; set cleanup.policy=delete",
        "min.insync.replicas=4: the brokers refuse every record, because there are only 3 replicas; set \
         min.insync.replicas=2 or add replicas",
    ];
    assert_eq!(texts, expected);
}
