//! The version and the commit of this build, for `--version` and `bookend_build_info`.

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of the sources; `unknown` if they were built without their history.
pub const COMMIT: &str = match option_env!("BOOKEND_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The version with the details that a bug report needs. `librdkafka` is the version of that
/// library if the program contains it.
#[must_use]
pub fn long_version(librdkafka: Option<&str>) -> String {
    match librdkafka {
        Some(librdkafka) => format!("{VERSION} (commit {COMMIT}, librdkafka {librdkafka})"),
        None => format!("{VERSION} (commit {COMMIT})"),
    }
}
