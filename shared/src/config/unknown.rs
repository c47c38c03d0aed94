//! Messages about unknown keys of a file and unknown variables, with the nearest setting.

use std::collections::BTreeSet;

use super::{
    near::nearest,
    setting::{CONFIG, PREFIX, Setting},
};

/// The message about an unknown key of a file.
pub(super) fn unknown_key(key: &str, settings: &[Setting]) -> String {
    let names = settings.iter().map(|setting| setting.name);
    match nearest(key, names) {
        Some(name) => format!("unknown setting {key:?}; did you mean {name:?}?"),
        None if key == "port" => {
            format!("unknown setting {key:?}; it is part of `listen`, as in \"127.0.0.1:5000\"")
        }
        None => format!("unknown setting {key:?}; `--help` lists the settings"),
    }
}

/// The warnings about those of `names` that are nearly a variable of `settings`.
pub(super) fn mistyped<'a>(
    settings: &[Setting],
    names: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = String> {
    let known = |setting: &Setting| {
        let file = setting.is_secret().then(|| setting.variable() + "_FILE");
        [Some(setting.variable()), file].into_iter().flatten()
    };
    let known: BTreeSet<_> = settings.iter().chain([&CONFIG]).flat_map(known).collect();
    let ours = names.filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)));
    ours.filter_map(move |(name, rest)| {
        if known.contains(name) {
            return None;
        }
        let meant = nearest(rest, known.iter().map(|name| &name[PREFIX.len()..]))?;
        Some(format!("{name} is not a setting and is ignored; did you mean {PREFIX}{meant}?"))
    })
}
