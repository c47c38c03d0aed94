//! Sets the commit of the build for `bookend_build_info`: `BOOKEND_COMMIT`, or the commit that git
//! reports, or `unknown`.
//!
//! Never fails: an archive of the sources has no history.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BOOKEND_COMMIT");
    let commit = variable("BOOKEND_COMMIT").or_else(commit).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BOOKEND_COMMIT={commit}");
}

/// The commit of this repository; `None` if the sources are in a directory of another one.
fn commit() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    if !root.join(".git").exists() {
        return None;
    }
    let commit = git(root, &["rev-parse", "--short", "HEAD"])?;
    // A release build has the current commit. A debug build keeps the commit of its first build:
    // otherwise every commit would rebuild the whole workspace.
    if variable("PROFILE").as_deref() == Some("release") {
        let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
        for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
            let path = git(root, &["rev-parse", "--git-path", name]).map(|path| root.join(path));
            // Cargo treats a missing file as changed, and git removes the file of a packed branch.
            if let Some(path) = path.filter(|path| path.exists()) {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    Some(commit)
}

fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes variables to build scripts; they are not settings of a process"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
