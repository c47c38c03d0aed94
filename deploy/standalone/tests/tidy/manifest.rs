//! Which crate may know which: the arrows between the crates of the workspace.

use std::{fs, path::Path};

/// Each member's folder, and the members it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("shared", &[]),
    ("ingest", &["shared"]),
    ("query-api", &["shared"]),
    ("deploy/standalone", &["shared", "ingest", "query-api"]),
    ("deploy/bench", &["shared", "ingest", "query-api", "standalone"]),
];

/// What points the wrong way in the manifests below `root`.
pub(crate) fn against_the_arrows(root: &str) -> Vec<String> {
    let manifest: toml::Table = read(&Path::new(root).join("Cargo.toml")).parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let found = members.iter().filter_map(|member| member.as_str()).flat_map(|member| {
        strangers(member, &read(&Path::new(root).join(member).join("Cargo.toml")))
    });
    found.collect()
}

/// What the member at `folder` must not depend on but does, by its `manifest`.
pub(crate) fn strangers(folder: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(member, _)| *member == folder) else {
        return vec![format!(
            "{folder}: a new crate says in ARROWS which of the others it may know"
        )];
    };
    let manifest: toml::Table = manifest.parse().unwrap();
    let ours = |name: &&String| {
        ARROWS.iter().any(|(member, _)| member.rsplit('/').next() == Some(name.as_str()))
    };
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    let strangers = tables
        .flat_map(|table| table.keys())
        .filter(ours)
        .filter(|name| !allowed.contains(&name.as_str()));
    strangers
        .map(|name| {
            format!(
                "{folder}/Cargo.toml: `{name}`: the services know `shared` and never each other, so that they scale and are \
                 deployed apart; only deploy/standalone and deploy/bench know both"
            )
        })
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
