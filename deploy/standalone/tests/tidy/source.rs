//! A source file as its tokens: which paths, literals and types it names, line by line.
//!
//! Comments and documentation are left out; a nested `use` is unfolded, so that `use std::{env}` names `std::env`.

use std::{fs, path::Path, sync::LazyLock};

use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};

use crate::room::Seen;

/// One `.rs` file of the workspace.
pub(crate) struct Source {
    /// From the workspace's root.
    pub(crate) path: String,
    /// Everything that stands in it.
    pub(crate) text: String,
    /// The first line of its tests; the first of all when it is nothing else.
    tests_from: usize,
    names: Names,
}

/// What a file names, each with its line.
#[derive(Default)]
struct Names {
    paths: Vec<(usize, String)>,
    literals: Vec<(usize, String)>,
    types: Vec<(usize, String)>,
    lines: Vec<(usize, String)>,
}

/// Every Rust file of the workspace.
pub(crate) static WORKSPACE: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let mut sources = Vec::new();
    walk(Path::new(ROOT), "", &mut sources);
    assert!(sources.len() > 50, "the sources were not found from {ROOT}");
    sources
});

/// The workspace's folder.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn walk(dir: &Path, path: &str, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !name.starts_with('.') && name != "target" {
            walk(&entry.path(), &path, sources);
        } else if kind.is_file() && name.ends_with(".rs") {
            sources.push(Source::read(&path, &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

impl Source {
    /// The file at `path`, which holds `text`.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let is_test = path.ends_with("/tests.rs")
            || path.split('/').any(|part| part == "tests" || part == "benches");
        let tests_begin = |line: &str| line.starts_with("#[cfg(test)]");
        let lines = text.lines().count();
        let tests_from =
            if is_test { 1 } else { text.lines().position(tests_begin).unwrap_or(lines) + 1 };
        let tokens = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut names = Names::default();
        names.add(tokens, "");
        names.lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim().to_owned()))
            .collect();
        Self { path: path.to_owned(), text: text.to_owned(), tests_from, names }
    }

    /// What it names, of one sort.
    pub(crate) fn names(&self, seen: Seen) -> impl Iterator<Item = (usize, &str)> {
        let names = match seen {
            Seen::Path => &self.names.paths,
            Seen::Literal => &self.names.literals,
            Seen::Type => &self.names.types,
            Seen::Text => &self.names.lines,
        };
        names.iter().map(|(line, name)| (*line, name.as_str()))
    }

    /// Whether `line` belongs to a test.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    /// How many lines stand before its tests.
    pub(crate) fn production_lines(&self) -> usize {
        self.tests_from - 1
    }
}

impl Names {
    /// Adds what `tokens` name; `within` is the path before the braces they stand in, as `std::`.
    fn add(&mut self, tokens: TokenStream, within: &str) {
        let mut path: Option<(usize, String)> = None;
        let mut last = String::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += usize::from(colons > 0 || punct.spacing() == Spacing::Joint);
                    continue;
                }
                TokenTree::Ident(ident) => {
                    let line = line_of(&ident);
                    let name = ident.to_string();
                    if matches!(last.as_str(), "struct" | "enum" | "trait" | "type") {
                        self.types.push((line, name.clone()));
                    }
                    path = Some(match path.take().filter(|_| colons == 2) {
                        Some((_, before)) => (line, format!("{before}::{name}")),
                        None => (line, format!("{within}{name}")),
                    });
                    self.paths.extend(path.clone());
                    last = name;
                }
                TokenTree::Literal(literal) => {
                    self.literals.push((literal.span().start().line, literal.to_string()));
                    (path, last) = (None, String::new());
                }
                TokenTree::Group(group) => {
                    let is_doc = group
                        .stream()
                        .into_iter()
                        .next()
                        .is_some_and(|first| first.to_string() == "doc");
                    let inside = path
                        .take()
                        .filter(|_| colons == 2 && group.delimiter() == Delimiter::Brace);
                    if !(is_doc && group.delimiter() == Delimiter::Bracket) {
                        self.add(
                            group.stream(),
                            &inside.map(|(_, path)| format!("{path}::")).unwrap_or_default(),
                        );
                    }
                    last = String::new();
                }
                TokenTree::Punct(_) => (path, last) = (None, String::new()),
            }
            colons = 0;
        }
    }
}

fn line_of(ident: &Ident) -> usize {
    ident.span().start().line
}
