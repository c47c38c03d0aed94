//! Which build this is: what `--version` says and `bookend_build_info` shows, from one source.

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from; `unknown` where the sources came without their history.
pub const COMMIT: &str = match option_env!("BOOKEND_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The version and what a report of a fault has to say beside it; `librdkafka` is the version of that where it is built in.
#[must_use]
pub fn long_version(librdkafka: Option<&str>) -> String {
    match librdkafka {
        Some(librdkafka) => format!("{VERSION} (commit {COMMIT}, librdkafka {librdkafka})"),
        None => format!("{VERSION} (commit {COMMIT})"),
    }
}
