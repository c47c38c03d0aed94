//! Import circles between files. The rule: production code of file A names an item that file B
//! defines, so there is an arrow from A to B, and no file can be reached from itself.
//!
//! Re-exports are followed. `mod` and `pub use` alone make no arrow. Methods and macros are not
//! followed: the rule reads names, not types.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use crate::source::Source;

/// Pairs of a parent and a child that may form a circle, with the reason; at most three.
const ALLOWED: &[(&str, &str, &str)] = &[];

type Path = Vec<String>;

/// The production code of one file.
#[derive(Default)]
struct Module {
    uses: Vec<Use>,
    /// Paths with at least two segments outside `use`.
    paths: BTreeSet<Path>,
    /// Every identifier outside `use`.
    words: BTreeSet<String>,
}

/// One leaf of a `use` tree.
struct Use {
    public: bool,
    path: Path,
    /// The name that it introduces.
    name: String,
}

/// The modules of the workspace by path, such as `ingest::log::kafka`.
struct Modules(BTreeMap<Path, Module>);

/// What a path names.
struct Target {
    module: Path,
    /// The item of the module; `None` for the module itself.
    item: Option<String>,
}

/// Returns each circle as a message with its arrows.
pub(crate) fn circles<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<String> {
    let modules = Modules(sources.filter_map(module).collect());
    let arrows = modules.arrows();
    let reached: BTreeMap<_, _> =
        arrows.keys().map(|from| (from, reachable(&arrows, from))).collect();
    let circles: BTreeSet<Vec<&Path>> = reached
        .iter()
        .filter(|(from, seen)| seen.contains(**from))
        .map(|(from, seen)| {
            seen.iter()
                .copied()
                .filter(|to| reached.get(to).is_some_and(|back| back.contains(*from)))
                .collect()
        })
        .collect();
    circles
        .into_iter()
        .filter(|circle| !is_allowed(circle))
        .map(|circle| describe(&circle, &arrows))
        .collect()
}

type Arrows = BTreeMap<Path, BTreeMap<Path, BTreeSet<String>>>;

fn reachable<'a>(arrows: &'a Arrows, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        let to = arrows.get(module).into_iter().flat_map(BTreeMap::keys);
        next.extend(to.filter(|to| seen.insert(*to)));
    }
    seen
}

fn is_allowed(circle: &[&Path]) -> bool {
    let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
    ALLOWED.iter().any(|(parent, child, _)| names == [*parent, *child])
}

fn describe(circle: &[&Path], arrows: &Arrows) -> String {
    let mut text = format!(
        "{} files import each other: move the types that both sides need into a file of their own",
        circle.len()
    );
    for from in circle {
        for (to, names) in arrows[*from].iter().filter(|(to, _)| circle.contains(to)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            text += &format!("\n  {} → {}: {}", from.join("::"), to.join("::"), names.join(", "));
        }
    }
    text
}

/// The path and the production code of a file; `None` for tests and files outside `src`.
fn module(source: &Source) -> Option<(Path, Module)> {
    let (folder, file) = source.path.rsplit_once("/src/").or(source.path.split_once("src/"))?;
    if source.is_test(1) {
        return None;
    }
    let name = folder.rsplit('/').next()?.replace('-', "_");
    let mut path: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    path.insert(0, name);
    match path.last().map(String::as_str) {
        Some("lib") if path.len() == 2 => path.truncate(1),
        Some("main") if path.len() == 2 => path[1] = "main!".to_owned(),
        _ => {}
    }
    let mut module = Module::default();
    module.add(source.code.parse().ok()?);
    Some((path, module))
}

impl Module {
    fn add(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(ident) if ident == "use" && !is_punct(tokens.get(at + 1), '<') => {
                    let end = (at..tokens.len()).find(|end| is_punct(tokens.get(*end), ';'));
                    let end = end.unwrap_or(tokens.len());
                    let public = is_public(&tokens[..at]);
                    leaves(&tokens[at + 1..end], &[], &mut |path, name| {
                        self.uses.push(Use { public, path, name });
                    });
                    at = end;
                }
                TokenTree::Ident(ident) => {
                    let mut path = vec![ident.to_string()];
                    while is_punct(tokens.get(at + 1), ':')
                        && is_punct(tokens.get(at + 2), ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    self.words.extend(path.iter().cloned());
                    if path.len() > 1 {
                        self.paths.insert(path);
                    }
                    at += 1;
                }
                TokenTree::Group(group) => {
                    self.add(group.stream());
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Whether a declaration after `before` is public: `pub` or `pub(…)`.
fn is_public(before: &[TokenTree]) -> bool {
    let mut before = before.iter().rev();
    let last = match before.next() {
        Some(TokenTree::Group(_)) => before.next(),
        last => last,
    };
    matches!(last, Some(TokenTree::Ident(ident)) if ident == "pub")
}

/// Calls `found` with each path of a `use` tree and the name that it introduces.
fn leaves(tree: &[TokenTree], before: &[String], found: &mut impl FnMut(Path, String)) {
    let mut path = before.to_vec();
    let mut alias = None;
    let mut tokens = tree.iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => {
                alias = tokens.next().map(ToString::to_string);
            }
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                let parts = inner.split(|token| is_punct(Some(token), ','));
                parts.filter(|part| !part.is_empty()).for_each(|part| leaves(part, &path, found));
                return;
            }
            _ => {}
        }
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    if let Some(name) = alias.or(path.last().cloned()) {
        found(path, name);
    }
}

impl Modules {
    fn has(&self, base: &[String], next: &str) -> bool {
        self.0.contains_key(&[base, &[next.to_owned()]].concat())
    }

    /// What `path` names in the file `from`; `None` outside the workspace.
    fn resolve(&self, from: &Path, path: &[String], depth: u8) -> Option<Target> {
        let is_main = from.last().is_some_and(|last| last == "main!");
        let here = if is_main { &from[..1] } else { &from[..] };
        let (mut base, mut rest) = match path.first()?.as_str() {
            "crate" => (here[..1].to_vec(), &path[1..]),
            "self" | "super" => {
                let steps =
                    path.iter().take_while(|part| matches!(part.as_str(), "self" | "super"));
                let up = steps.clone().filter(|step| *step == "super").count();
                (here[..here.len().checked_sub(up)?].to_vec(), &path[steps.count()..])
            }
            first if self.has(here, first) => (here.to_vec(), path),
            first if first != here[0] && self.0.contains_key(&vec![first.to_owned()]) => {
                (vec![first.to_owned()], &path[1..])
            }
            _ => return None,
        };
        while let Some((next, after)) = rest.split_first() {
            if self.has(&base, next) {
                base.push(next.clone());
                rest = after;
                continue;
            }
            let uses = self.0.get(&base).into_iter().flat_map(|module| &module.uses);
            let export = uses.filter(|export| export.public).find(|export| export.name == *next);
            let Some(export) = export else {
                return Some(Target { module: base, item: Some(next.clone()) });
            };
            if depth == 0 {
                return None;
            }
            let found = self.resolve(&base, &export.path, depth - 1)?;
            if found.item.is_some() || after.is_empty() {
                return Some(found);
            }
            (base, rest) = (found.module, after);
        }
        Some(Target { module: base, item: None })
    }

    /// The arrows between files, with the names that make them.
    fn arrows(&self) -> Arrows {
        let mut arrows: Arrows =
            self.0.keys().map(|path| (path.clone(), BTreeMap::new())).collect();
        for (from, module) in &self.0 {
            let mut imported = BTreeMap::new();
            let mut found = Vec::new();
            for import in &module.uses {
                if import.public && !module.words.contains(&import.name) {
                    continue;
                }
                match self.resolve(from, &import.path, 8) {
                    Some(Target { module, item: None }) => {
                        drop(imported.insert(&import.name, module))
                    }
                    target => found.extend(target),
                }
            }
            for path in &module.paths {
                found.extend(match imported.get(&path[0]) {
                    Some(base) => {
                        self.resolve(base, &[&["self".to_owned()], &path[1..]].concat(), 8)
                    }
                    None => self.resolve(from, path, 8),
                });
            }
            for Target { module, item } in found {
                if let Some(item) = item
                    && module != *from
                {
                    arrows.entry(from.clone()).or_default().entry(module).or_default().insert(item);
                }
            }
        }
        arrows
    }
}
