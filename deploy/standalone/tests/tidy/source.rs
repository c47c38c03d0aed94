//! A source file as its tokens: the paths, literals and types that it names, line by line.
//!
//! Comments and documentation are skipped. A nested `use` is unfolded, so that `use std::{env}`
//! names `std::env`.

use std::{fs, ops::RangeInclusive, path::Path, sync::LazyLock};

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};

use crate::room::Seen;

/// One `.rs` file of the workspace.
pub(crate) struct Source {
    /// The path from the root of the workspace.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// The lines of the items under `#[cfg(test)]`; all lines of a file with nothing but tests.
    tests: Vec<RangeInclusive<usize>>,
    /// The tokens of production code, as text.
    pub(crate) code: String,
    names: Names,
}

/// The names in a file, each with its line.
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

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn walk(dir: &Path, path: &str, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            walk(&entry.path(), &path, sources);
        } else if kind.is_file() && name.ends_with(".rs") {
            sources.push(Source::read(&path, &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

impl Source {
    /// Reads the file at `path` with the content `text`.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let is_test = path.ends_with("/tests.rs")
            || path.split('/').any(|part| part == "tests" || part == "benches");
        let tokens: TokenStream =
            text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tests = Vec::new();
        let code = production(tokens.clone(), &mut tests);
        if is_test {
            tests = vec![1..=usize::MAX];
        }
        let mut names = Names::default();
        names.add(tokens, "");
        names.lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim().to_owned()))
            .collect();
        Self { path: path.to_owned(), text: text.to_owned(), tests, code: code.to_string(), names }
    }

    /// The names of one kind.
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
        self.tests.iter().any(|lines| lines.contains(&line))
    }

    /// The number of lines that do not belong to tests.
    pub(crate) fn production_lines(&self) -> usize {
        (1..=self.text.lines().count()).filter(|line| !self.is_test(*line)).count()
    }
}

/// Removes the items under `#[cfg(test)]` from `tokens`, and adds their lines to `tests`. An item
/// ends with its first `;` or block, a field with its comma: what follows is not a test.
pub(crate) fn production(
    tokens: TokenStream,
    tests: &mut Vec<RangeInclusive<usize>>,
) -> TokenStream {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        let attribute = tokens.get(position..position + 2).filter(|two| is_cfg_test(two));
        if attribute.is_some() {
            let field = is_field(&tokens[position + 2..]);
            let end = (position + 2..tokens.len()).find(|at| ends(&tokens[*at], field));
            let end = end.unwrap_or(tokens.len() - 1);
            tests.push(tokens[position].span().start().line..=tokens[end].span().end().line);
            position = end + 1;
            continue;
        }
        kept.push(match &tokens[position] {
            TokenTree::Group(group) => {
                Group::new(group.delimiter(), production(group.stream(), tests)).into()
            }
            token => token.clone(),
        });
        position += 1;
    }
    kept.into_iter().collect()
}

/// Whether `token` ends an item, or a field of a struct.
fn ends(token: &TokenTree, field: bool) -> bool {
    match token {
        TokenTree::Punct(punct) => punct.as_char() == if field { ',' } else { ';' },
        TokenTree::Group(group) => !field && group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

/// Whether `tokens` begin with a field: its visibility, its name and a single colon.
fn is_field(tokens: &[TokenTree]) -> bool {
    let mut tokens = tokens.iter().skip_while(|token| match token {
        TokenTree::Ident(ident) => ident == "pub",
        TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
        _ => false,
    });
    matches!(
        (tokens.next(), tokens.next()),
        (Some(TokenTree::Ident(_)), Some(TokenTree::Punct(colon)))
            if colon.as_char() == ':' && colon.spacing() == Spacing::Alone
    )
}

/// Whether these two tokens are `#` and `[cfg(…)]` with the word `test`, not negated.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute)] = tokens else { return false };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    hash.as_char() == '#' && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

impl Names {
    /// Adds the names in `tokens`. `within` is the path before their braces, as in `std::`.
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
                    let first = group.stream().into_iter().next();
                    let is_doc = first.is_some_and(|first| first.to_string() == "doc");
                    let inside = path
                        .take()
                        .filter(|_| colons == 2 && group.delimiter() == Delimiter::Brace);
                    if !(is_doc && group.delimiter() == Delimiter::Bracket) {
                        let within = inside.map(|(_, path)| format!("{path}::"));
                        self.add(group.stream(), &within.unwrap_or_default());
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
