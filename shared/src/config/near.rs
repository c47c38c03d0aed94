//! Finds the known name or word that is nearest to a mistyped one.

/// The most letters that a slip changes; transposing two neighbours counts as one.
const MOST_CHANGED: usize = 2;

/// Returns the one of `known` that is nearest to `text`, if a slip explains the difference: at most
/// two changed letters, and fewer than half of all. Upper case and underscores do not count.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
