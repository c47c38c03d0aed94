//! Libraries in C beside this file. Each changes one behaviour of a process by a number that may
//! change while the process runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A library that a process preloads, and the file with its number.
pub(crate) struct Preloaded(TempDir);

impl Preloaded {
    /// Compiles `NAME.c`, and lets `command` preload it.
    pub(crate) fn by(command: &mut Command, name: &str, number: i64) -> Self {
        let preloaded = Self(TempDir::new().unwrap());
        let library = preloaded.0.path().join(name).with_extension("so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system").join(name);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library);
        assert!(cc.arg(source.with_extension("c")).status().unwrap().success());
        preloaded.set(number);
        command.env("LD_PRELOAD", library).env("PRELOAD_NUMBER", preloaded.file());
        preloaded
    }

    pub(crate) fn set(&self, number: i64) {
        // Renamed, because the process may read the file at any moment.
        let new = self.file().with_extension("new");
        fs::write(&new, number.to_string()).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("number")
    }
}
