//! What was probably meant by a name or word that is not known.

use std::collections::BTreeSet;

use super::setting::{CONFIG, PREFIX, Setting};

/// The most letters that a slip changes; transposing two neighbours counts as one.
const MOST_CHANGED: usize = 2;

/// Returns the one of `known` that is nearest to `text`, if a slip explains the difference: at most
/// two changed letters, and fewer than half of all. Upper case and underscores do not count.
fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let text = plain(text);
    let most = MOST_CHANGED.min(text.chars().count().saturating_sub(1) / 2);
    let distances = known.into_iter().map(|name| (strsim::osa_distance(&text, &plain(name)), name));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// The message about a `text` that is none of `words`.
#[must_use]
pub fn unknown_word(text: &str, words: &[&str]) -> String {
    let expected = format!("expected one of {}", words.join(", "));
    match nearest(text, words.iter().copied()) {
        Some(word) => format!("{expected}; did you mean {word:?}?"),
        None => expected,
    }
}

/// The message about the key of a file that is no setting.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_one_or_two_letters_is_recognised_and_another_word_is_not() {
        let known = ["log", "store", "log-level", "max-body"];
        let near = |text| nearest(text, known);
        assert_eq!(near("sotre"), Some("store"));
        assert_eq!(near("log-lvel"), Some("log-level"));
        assert_eq!(near("MAX_BODDY"), Some("max-body"));
        assert_eq!(near("lgo"), Some("log"));
        for other in ["", "l", "dog-house", "port", "max-bodiless"] {
            assert_eq!(near(other), None, "{other}");
        }
        // Two of three letters are not a slip.
        assert_eq!(near("lab"), None);
    }

    #[test]
    fn the_message_about_an_unknown_word_lists_all_and_names_the_nearest() {
        assert_eq!(
            unknown_word("jsn", &["human", "json"]),
            "expected one of human, json; did you mean \"json\"?"
        );
        assert_eq!(unknown_word("xml", &["human", "json"]), "expected one of human, json");
    }
}
