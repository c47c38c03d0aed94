//! The allowed dependencies between the crates of the workspace.

use std::{fs, path::Path};

/// The crate that supports tests. Every crate may use it, but only as a dev-dependency.
const TEST_SUPPORT: &str = "test-support";

/// The only member that may contain `unsafe`. It has lints of its own.
const UNSAFE: &str = "ingest/topic-ids";

/// The directory of each member, and the members on which it may depend.
const ARROWS: &[(&str, &[&str])] = &[
    ("shared/tests/support", &[]),
    ("shared", &[]),
    ("ingest", &["shared", "topic-ids"]),
    (UNSAFE, &[]),
    ("query-api", &["shared"]),
    ("deploy/standalone", &["shared", "ingest", "query-api"]),
    ("deploy/bench", &["shared", "ingest", "query-api", "standalone"]),
];

/// Returns a message for each member below `root` that does not have the lints of the workspace.
pub(crate) fn without_lints(root: &str) -> Vec<String> {
    let manifest: toml::Table = read(&Path::new(root).join("Cargo.toml")).parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let found = members.iter().filter_map(|member| member.as_str()).filter(|member| {
        let path = Path::new(root).join(member).join("Cargo.toml");
        let manifest: toml::Table = read(&path).parse().unwrap();
        let inherits = manifest["lints"].get("workspace").and_then(toml::Value::as_bool);
        (inherits == Some(true)) == (*member == UNSAFE)
    });
    found
        .map(|member| {
            format!("{member}/Cargo.toml: only {UNSAFE} has lints of its own, to contain `unsafe`")
        })
        .collect()
}

/// Returns a message for each dependency in the manifests below `root` that is not allowed.
pub(crate) fn against_the_arrows(root: &str) -> Vec<String> {
    let manifest: toml::Table = read(&Path::new(root).join("Cargo.toml")).parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let found = members.iter().filter_map(|member| member.as_str()).flat_map(|member| {
        strangers(member, &read(&Path::new(root).join(member).join("Cargo.toml")))
    });
    found.collect()
}

/// Returns a message for each dependency in the `manifest` of the member at `folder` that is not
/// allowed.
pub(crate) fn strangers(folder: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(member, _)| *member == folder) else {
        return vec![format!(
            "{folder}: add the new crate to ARROWS, with the crates on which it may depend"
        )];
    };
    let manifest: toml::Table = manifest.parse().unwrap();
    let is_member = |name: &str| {
        name == TEST_SUPPORT
            || ARROWS.iter().any(|(member, _)| member.rsplit('/').next() == Some(name))
    };
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables =
        sections.iter().filter_map(|section| Some((*section, manifest.get(*section)?.as_table()?)));
    let names =
        tables.flat_map(|(section, table)| table.keys().map(move |name| (section, name.as_str())));
    let strangers = names.filter(|(section, name)| {
        let is_support = *name == TEST_SUPPORT
            && *section == "dev-dependencies"
            && folder != "shared/tests/support";
        is_member(name) && !is_support && !allowed.contains(name)
    });
    strangers
        .map(|(section, name)| {
            format!(
                "{folder}/Cargo.toml: `{name}` in {section}: the services depend on `shared` and never on each other, so that \
                 they are scaled and deployed separately; only deploy/standalone and deploy/bench depend on both, and \
                 `{TEST_SUPPORT}` is only a dev-dependency"
            )
        })
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
