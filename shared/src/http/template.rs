//! The path templates of routes, such as `/users/{user_id}`.

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{')
}

/// Whether a raw path matches `template`. A slash within an id is sent as `%2F`, so raw slashes
/// always separate segments.
pub(super) fn matches(template: &str, path: &str) -> bool {
    if !template.contains('{') {
        return template == path;
    }
    let mut segments = path.split('/');
    template.split('/').all(|expected| {
        segments.next().is_some_and(|found| is_variable(expected) || expected == found)
    }) && segments.next().is_none()
}

/// The segments of a raw path that are variables in `template`, which it matches.
pub(super) fn variables(template: &str, path: &str) -> Vec<String> {
    let pairs = template.split('/').zip(path.split('/'));
    pairs.filter(|(expected, _)| is_variable(expected)).map(|(_, found)| found.to_owned()).collect()
}
