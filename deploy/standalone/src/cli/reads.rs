//! Which settings each command reads. A command accepts the flags of all, so that a deployment can
//! give every command the same ones, but its help lists those that it reads.

use clap::Arg;

/// The settings that only `serve` reads.
const SERVICE_ONLY: &[&str] = &[
    "body-timeout",
    "consumer-batch",
    "drain-timeout",
    "drain-window",
    "header-timeout",
    "idle-timeout",
    "listen",
    "max-batch-events",
    "max-body",
    "max-connections",
    "max-inflight",
    "max-reply-bytes",
    "quota",
    "write-timeout",
];
/// Headings whose settings only `serve` reads.
const SERVICE_HEADINGS: &[&str] = &["Access", "Queries", "TLS"];
/// Settings that only `serve` and `setup` read: those of new topics and tables.
const NEW_ONLY: &[&str] = &["cassandra-replication", "kafka-replication", "log-partitions"];
/// Settings that `setup` does not read, because it reads no record and no data directory.
const NOT_SETUP: &[&str] = &[
    "as-of",
    "data-dir",
    "future-tolerance",
    "kafka-append-deadline",
    "kafka-delivery-timeout",
    "kafka-group-protocol",
    "kafka-member",
    "kafka-session-timeout",
    "min-free-disk",
];
/// Headings whose settings `setup` does not read.
const NOT_SETUP_HEADINGS: &[&str] = &["Embedded log", "Embedded store"];

/// The settings that `health` reads: the address of the service.
const HEALTH: &[&str] = &["config", "listen", "operations-listen", "tls-cert"];

/// Whether the command `name` reads the setting of `arg`.
pub(super) fn reads(name: &str, arg: &Arg) -> bool {
    let (setting, heading) = (arg.get_id().as_str(), arg.get_help_heading().unwrap_or_default());
    let is_service_only = SERVICE_ONLY.contains(&setting) || SERVICE_HEADINGS.contains(&heading);
    let is_not_setup = NOT_SETUP.contains(&setting) || NOT_SETUP_HEADINGS.contains(&heading);
    match name {
        "serve" | "print" => true,
        "health" => HEALTH.contains(&setting),
        "setup" => !is_service_only && !is_not_setup,
        _ => !is_service_only && !NEW_ONLY.contains(&setting),
    }
}
