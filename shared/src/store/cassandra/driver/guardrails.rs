//! The settings of the nodes that can make a node refuse what this program has to do.
//!
//! Superusers are exempt from guardrails, and so is everybody where no login is required.

use std::collections::BTreeMap;

use scylla::statement::Consistency;

use super::{
    super::units::{PARTITIONS, SESSIONS},
    statements::MAX_PAGE,
};
use crate::{
    config::{Bytes, DurationValue},
    timestamp::{DAY, HOUR, MARGIN, MINUTE, RETENTION},
};

/// A setting in `cassandra.yaml` of a node.
struct Guardrail {
    setting: &'static str,
    /// A part of the message with which a node refuses a request for this setting.
    message: &'static str,
    /// Whether a value of the setting is in the way of requests at a consistency level.
    blocks: fn(&str, Consistency) -> bool,
    needed: &'static str,
}

const LEVEL: &str = "must not contain the level in use: LOCAL_QUORUM with --cassandra-datacenter, \
    else QUORUM";
/// The combinations of a user and a session in the largest read of facts.
const SELECTED: i64 = (PARTITIONS * SESSIONS) as i64;

const GUARDRAILS: [Guardrail; 9] = [
    Guardrail {
        setting: "user_timestamps_enabled",
        message: "user_timestamps",
        blocks: |value, _| value == "false",
        needed: "must be true: every fact is written with the time of its event",
    },
    Guardrail {
        setting: "minimum_timestamp_fail_threshold",
        message: "minimum_timestamp",
        // Write times are up to 16 µs before the event for each millisecond of its age.
        blocks: |value, _| duration_below(value, (RETENTION + MARGIN) / 1_000 * 1_016 + DAY),
        needed: "must be unset or at least 373d: facts are written with the time of their event",
    },
    Guardrail {
        setting: "maximum_timestamp_fail_threshold",
        message: "maximum_timestamp",
        // An event is accepted up to an hour ahead.
        blocks: |value, _| duration_below(value, HOUR / 1_000 * 1_016 + MINUTE),
        needed: "must be unset or at least 62m: the clocks of clients may be ahead",
    },
    Guardrail {
        setting: "read_consistency_levels_disallowed",
        message: "read_consistency_levels",
        blocks: lists,
        needed: LEVEL,
    },
    Guardrail {
        setting: "write_consistency_levels_disallowed",
        message: "write_consistency_levels",
        blocks: lists,
        needed: LEVEL,
    },
    Guardrail {
        setting: "page_size_fail_threshold",
        message: "page_size",
        blocks: |value, _| number_below(value, i64::from(MAX_PAGE)),
        needed: "must be -1 or at least 2000",
    },
    Guardrail {
        setting: "partition_keys_in_select_fail_threshold",
        message: "partition_keys_in_select",
        blocks: |value, _| number_below(value, PARTITIONS as i64),
        needed: "must be -1 or at least 10",
    },
    Guardrail {
        setting: "in_select_cartesian_product_fail_threshold",
        message: "in_select_cartesian_product",
        blocks: |value, _| number_below(value, SELECTED),
        needed: "must be -1 or at least 610",
    },
    Guardrail {
        setting: "batch_size_fail_threshold",
        message: "Batch too large",
        blocks: |value, _| value.parse::<Bytes>().is_ok_and(|Bytes(bytes)| bytes < 16 << 10),
        needed: "must be at least 16KiB",
    },
];

/// What to do about the refusal of a guardrail; `None` if `reason` is another one.
pub(super) fn advice(reason: &str) -> Option<String> {
    let guardrail = GUARDRAILS.iter().find(|guardrail| reason.contains(guardrail.message));
    match guardrail {
        Some(Guardrail { setting, needed, .. }) => {
            Some(format!("{setting} in cassandra.yaml of every node {needed}"))
        }
        None if reason.contains("Guardrail") => {
            Some("change this guardrail in cassandra.yaml of every node".to_owned())
        }
        None => None,
    }
}

/// One sentence for each setting of a node that is in the way of requests at `level`.
pub(crate) fn in_the_way(settings: &BTreeMap<String, String>, level: Consistency) -> Vec<String> {
    let blocking = GUARDRAILS.iter().filter_map(|guardrail| {
        let value = settings.get(guardrail.setting)?;
        let Guardrail { setting, needed, .. } = guardrail;
        (guardrail.blocks)(value, level).then(|| format!("{setting} is {value} and {needed}"))
    });
    blocking.collect()
}

/// Whether a list such as `[EACH_QUORUM, QUORUM]` has this level.
fn lists(levels: &str, level: Consistency) -> bool {
    let level = level.to_string();
    let mut levels = levels.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    levels.any(|listed| listed.replace('_', "").eq_ignore_ascii_case(&level))
}

fn duration_below(value: &str, millis: i64) -> bool {
    value.parse::<DurationValue>().is_ok_and(|duration| duration.millis() < millis)
}

/// Negative thresholds are turned off.
fn number_below(value: &str, limit: i64) -> bool {
    value.parse().is_ok_and(|number: i64| (0..limit).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_are_not_in_the_way_and_others_are_named() {
        let defaults = [
            ("user_timestamps_enabled", "true"),
            ("read_consistency_levels_disallowed", "[]"),
            ("write_consistency_levels_disallowed", "[]"),
            ("page_size_fail_threshold", "-1"),
            ("partition_keys_in_select_fail_threshold", "-1"),
            ("in_select_cartesian_product_fail_threshold", "-1"),
            ("batch_size_fail_threshold", "50KiB"),
        ];
        let settings = |given: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            given.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        let level = Consistency::Quorum;
        assert_eq!(in_the_way(&settings(&defaults), level), Vec::<String>::new());
        let blocking = [
            ("user_timestamps_enabled", "false"),
            ("minimum_timestamp_fail_threshold", "1d"),
            ("maximum_timestamp_fail_threshold", "1h"),
            ("read_consistency_levels_disallowed", "[ONE, QUORUM]"),
            ("write_consistency_levels_disallowed", "[QUORUM]"),
            ("page_size_fail_threshold", "500"),
            ("partition_keys_in_select_fail_threshold", "5"),
            ("in_select_cartesian_product_fail_threshold", "609"),
            ("batch_size_fail_threshold", "5KiB"),
        ];
        let found = in_the_way(&settings(&blocking), level);
        assert_eq!(found.len(), GUARDRAILS.len(), "{found:?}");
        for ((setting, value), sentence) in blocking.iter().zip(&found) {
            assert!(sentence.starts_with(&format!("{setting} is ")), "{value}: {sentence}");
        }
    }

    #[test]
    fn only_the_level_in_use_is_in_the_way() {
        let listed = |levels: &str, level| {
            let settings = ["read", "write"]
                .map(|kind| (format!("{kind}_consistency_levels_disallowed"), levels.to_owned()));
            in_the_way(&settings.into(), level).len()
        };
        for (levels, quorum, local) in [
            ("[EACH_QUORUM]", 0, 0),
            ("[EACH_QUORUM, QUORUM, ALL]", 2, 0),
            ("[ANY, LOCAL_QUORUM]", 0, 2),
        ] {
            assert_eq!(listed(levels, Consistency::Quorum), quorum, "{levels}");
            assert_eq!(listed(levels, Consistency::LocalQuorum), local, "{levels}");
        }
    }

    #[test]
    fn what_is_needed_is_the_limit_of_the_check() {
        let needed = |setting| {
            let found = GUARDRAILS.iter().find(|guardrail| guardrail.setting == setting);
            found.unwrap().needed.split_whitespace().last().unwrap().parse::<i64>().unwrap()
        };
        assert_eq!(needed("page_size_fail_threshold"), i64::from(MAX_PAGE));
        assert_eq!(needed("partition_keys_in_select_fail_threshold"), PARTITIONS as i64);
        assert_eq!(needed("in_select_cartesian_product_fail_threshold"), SELECTED);
    }

    #[test]
    fn a_refusal_is_explained_by_its_setting() {
        let reason = "Guardrail user_timestamps violated: User provided timestamps are not allowed";
        let advice = |reason| advice(reason).unwrap_or_default();
        assert!(advice(reason).starts_with("user_timestamps_enabled in cassandra.yaml"));
        assert!(advice("Guardrail of tomorrow violated").contains("cassandra.yaml"));
        assert_eq!(advice("unconfigured table facts"), "");
    }
}
