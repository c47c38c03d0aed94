//! The settings of the nodes that can make a node refuse what this program has to do.
//!
//! Superusers are exempt from guardrails, and so is everybody where no login is required.

use std::collections::BTreeMap;

use crate::{
    config::{Bytes, DurationValue},
    timestamp::{DAY, MARGIN, MINUTE, RETENTION},
};

/// A setting in `cassandra.yaml` of a node.
struct Guardrail {
    setting: &'static str,
    /// A part of the message with which a node refuses a request for this setting.
    message: &'static str,
    /// Whether a value of the setting is in the way.
    blocks: fn(&str) -> bool,
    needed: &'static str,
}

const GUARDRAILS: [Guardrail; 9] = [
    Guardrail {
        setting: "user_timestamps_enabled",
        message: "user_timestamps",
        blocks: |value| value == "false",
        needed: "must be true: every fact is written with the time of its event",
    },
    Guardrail {
        setting: "minimum_timestamp_fail_threshold",
        message: "minimum_timestamp",
        // Write times are up to 16 µs before the event for each millisecond of its age.
        blocks: |value| duration_below(value, (RETENTION + MARGIN) / 1_000 * 1_016 + DAY),
        needed: "must be unset or at least 373d: facts are written with the time of their event",
    },
    Guardrail {
        setting: "maximum_timestamp_fail_threshold",
        message: "maximum_timestamp",
        blocks: |value| duration_below(value, 5 * MINUTE),
        needed: "must be unset or at least 5m: the clocks of clients may be ahead",
    },
    Guardrail {
        setting: "read_consistency_levels_disallowed",
        message: "read_consistency_levels",
        blocks: |value| value.contains("QUORUM"),
        needed: "must not contain QUORUM or LOCAL_QUORUM",
    },
    Guardrail {
        setting: "write_consistency_levels_disallowed",
        message: "write_consistency_levels",
        blocks: |value| value.contains("QUORUM"),
        needed: "must not contain QUORUM or LOCAL_QUORUM",
    },
    Guardrail {
        setting: "page_size_fail_threshold",
        message: "page_size",
        blocks: |value| number_below(value, 2_000),
        needed: "must be -1 or at least 2000",
    },
    Guardrail {
        setting: "partition_keys_in_select_fail_threshold",
        message: "partition_keys_in_select",
        blocks: |value| number_below(value, 10),
        needed: "must be -1 or at least 10",
    },
    Guardrail {
        setting: "in_select_cartesian_product_fail_threshold",
        message: "in_select_cartesian_product",
        blocks: |value| number_below(value, 600),
        needed: "must be -1 or at least 600",
    },
    Guardrail {
        setting: "batch_size_fail_threshold",
        message: "Batch too large",
        blocks: |value| value.parse::<Bytes>().is_ok_and(|Bytes(bytes)| bytes < 16 << 10),
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

/// One sentence for each setting of a node that is in the way.
pub(crate) fn in_the_way(settings: &BTreeMap<String, String>) -> Vec<String> {
    let blocking = GUARDRAILS.iter().filter_map(|guardrail| {
        let value = settings.get(guardrail.setting)?;
        let Guardrail { setting, needed, .. } = guardrail;
        (guardrail.blocks)(value).then(|| format!("{setting} is {value} and {needed}"))
    });
    blocking.collect()
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
        assert_eq!(in_the_way(&settings(&defaults)), Vec::<String>::new());
        let blocking = [
            ("user_timestamps_enabled", "false"),
            ("minimum_timestamp_fail_threshold", "1d"),
            ("maximum_timestamp_fail_threshold", "60s"),
            ("read_consistency_levels_disallowed", "[ONE, QUORUM]"),
            ("write_consistency_levels_disallowed", "[LOCAL_QUORUM]"),
            ("page_size_fail_threshold", "500"),
            ("partition_keys_in_select_fail_threshold", "5"),
            ("in_select_cartesian_product_fail_threshold", "25"),
            ("batch_size_fail_threshold", "5KiB"),
        ];
        let found = in_the_way(&settings(&blocking));
        assert_eq!(found.len(), GUARDRAILS.len(), "{found:?}");
        for ((setting, value), sentence) in blocking.iter().zip(&found) {
            assert!(sentence.starts_with(&format!("{setting} is ")), "{value}: {sentence}");
        }
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
