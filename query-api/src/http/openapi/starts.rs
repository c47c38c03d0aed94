//! The descriptions of the queries about the session starts of countries.

use serde_json::{Value, json};
use shared::http::openapi::{Call, Example, Tag, schema_ref};
use utoipa::openapi::OneOfBuilder;

use super::{Errors, Series, StartsByCountry, curl, failing, parameters};
use crate::{
    error::QueryError,
    http::starts::{COUNTS, CountsReply, LAST_EVENTS, LIMIT, STARTS, StartsReply, TOP},
    window::{DAYS, EXAMPLES, INSTANT, LENGTH_EXAMPLES, ONE_LENGTH, ORDER, WAYS, wrong_length},
};

const PATH: &str = "/v1/session-starts";
const COUNTS_PATH: &str = "/v1/session-starts/counts";

/// A window of the examples that does not move with the clock.
const WINDOW: &str = "from=2018-11-07T00:00:00Z&to=2019-05-13T00:00:00Z";

/// Where the first page of the examples ends.
const CURSOR: &str = "WzE1NTAxODcxMDU2NzU2NDk0NTYzLFsxNTQxNTQ4ODAwMDAwLDE1NTc3MDU2MDAwMDAsIkRFIl1d";

/// Counts with or without slots of time.
enum Counts {}

shared::schemas! {
    Counts: CountsReply, Series => OneOfBuilder::new()
        .item(schema_ref::<CountsReply>())
        .item(schema_ref::<Series>());
}

/// `/v1/session-starts`
pub(in crate::http) fn listed() -> Call {
    let whole = json!({
        "from": "2018-11-24T12:00:00Z", "to": "2019-05-13T12:05:00Z",
        "countries": of_170_days(), "next": null,
    });
    let page = |countries: Value, next: Option<&str>| {
        json!({
            "from": "2018-11-07T00:00:00Z", "to": "2019-05-13T00:00:00Z",
            "countries": countries, "next": next,
        })
    };
    let (german, slovak) = ("9595af0063e94cb8a76cb6628c6b80eb", "1ec36a67785046b3bce1dc432fad9129");
    let german = start(german, "06830030-d091-428b-87d6-53914d3d2a18", "2018-11-07T01:18:09Z");
    let slovak = start(slovak, "3346a60a-0989-4041-aacc-cf6ff44bd151", "2018-11-16T05:36:16Z");
    let first = format!("{PATH}?{WINDOW}&country=SK&country=DE&limit=1");
    let examples = [
        Example::new("whole", curl(&format!("{PATH}?days=170")), whole),
        Example::new("cut", curl(&first), page(json!({ "DE": [german] }), Some(CURSOR))),
        Example::new(
            "last",
            curl(&format!("{first}&cursor={CURSOR}")),
            page(json!({ "SK": [slovak] }), None),
        ),
    ];
    let about = "Lists the session starts of each country, newest first, page by page. Give the \
                 window by `days`, by `hours`, or by `from` with or without `to`. The window \
                 includes its first instant and excludes its last one. A page that is not the last \
                 one has a `next`: give it as `cursor` to get the next page.";
    let call =
        Call::new(Tag::Queries, "listSessionStarts", "List session starts by country", about)
            .taking(parameters::query(&STARTS, LIMIT))
            .json::<StartsReply>("One page of session starts.", examples);
    let at = |query: &str| curl(&format!("{PATH}?days=170&{query}"));
    let mut errors = wrong_window(PATH);
    errors.push(("invalid_limit", at("limit=0"), QueryError::InvalidNumber("limit", LIMIT.1)));
    errors.push(("invalid_cursor", at("cursor=x"), QueryError::InvalidCursor));
    failing(call, PATH, &STARTS, errors, false)
}

/// `/v1/session-starts/counts`
pub(in crate::http) fn counted() -> Call {
    let counts = json!({
        "from": "2018-11-24T12:00:00Z", "to": "2019-05-13T12:05:00Z",
        "countries": { "DE": 0, "GH": 1, "SK": 0, "TIN": 1, "ZZ": 0 }, "next": null,
    });
    let largest = json!({
        "from": "2018-11-24T12:00:00Z", "to": "2019-05-13T12:05:00Z",
        "countries": { "GH": 1 }, "others": 1, "next": null,
    });
    let series = json!({
        "from": "2018-11-07T00:00:00Z", "to": "2019-05-13T00:00:00Z", "step": "day",
        "series": {
            "DE": [{ "ts": "2018-11-07T00:00:00Z", "starts": 1 }],
            "SK": [{ "ts": "2018-11-16T00:00:00Z", "starts": 1 }],
        },
        "next": null,
    });
    let by_day = format!("{COUNTS_PATH}?{WINDOW}&country=SK&country=DE&step=day");
    let examples = [
        Example::new("counts", curl(&format!("{COUNTS_PATH}?days=170")), counts),
        Example::new("largest", curl(&format!("{COUNTS_PATH}?days=170&top=1")), largest),
        Example::new("series", curl(&by_day), series),
    ];
    let about = "Counts the session starts of each country. With `step`, the reply has one number \
                 for each slot of time instead: a whole minute, hour or day in UTC. A reply has at \
                 most 10,000 countries, and `next` if there are more. `top` returns only the \
                 countries with the most starts, and the sum of all others.";
    let summary = "Count session starts by country";
    let call = Call::new(Tag::Queries, "countSessionStarts", summary, about)
        .taking(parameters::query(&COUNTS, LIMIT))
        .json::<Counts>("The number of session starts of each country.", examples);
    let at = |query: &str| curl(&format!("{COUNTS_PATH}?days=170&{query}"));
    let mut errors = wrong_window(COUNTS_PATH);
    errors.push(("invalid_step", at("step=week"), QueryError::InvalidStep));
    errors.push(("invalid_top", at("top=101"), QueryError::InvalidNumber("top", TOP)));
    errors.push(("invalid_cursor", at("cursor=x"), QueryError::InvalidCursor));
    failing(call, COUNTS_PATH, &COUNTS, errors, true)
}

/// `/user/last-events`
pub(in crate::http) fn last_events() -> Call {
    let path = "/user/last-events";
    let at = |query: &str| curl(&format!("{path}{query}"));
    let starts = Example::new("starts", at("?days=170"), of_170_days());
    let about = "Deprecated: use `/v1/session-starts`. Returns all session starts of each country \
                 in the window, newest first, in one streamed reply of any length.";
    let summary = "List all session starts by country";
    let call = Call::new(Tag::Legacy, "listLastEvents", summary, about)
        .taking(parameters::query(&LAST_EVENTS, LIMIT))
        .json::<StartsByCountry>("The session starts of each country.", [starts]);
    let errors = vec![
        ("missing_window", at(""), QueryError::MissingWindow(LENGTH_EXAMPLES)),
        ("invalid_window", at("?days=366"), wrong_length(DAYS, "366")),
        ("two_windows", at("?days=1&hours=1"), QueryError::InvalidWindow(ONE_LENGTH)),
    ];
    failing(call, path, &LAST_EVENTS, errors, true)
}

fn start(user: &str, session: &str, ts: &str) -> Value {
    json!({ "user_id": user, "session_id": session, "ts": ts })
}

/// The starts of the seed in the last 170 days.
fn of_170_days() -> Value {
    let (ghanaian, tin) = ("a477ecabc3cc455cb1c6d1dab77d8e5c", "d6313e1fb7d247a6a034e2aadc30ab30");
    json!({
        "DE": [],
        "GH": [start(ghanaian, "4c55263e-66b2-4814-b431-8ca4c1a9dcc8", "2018-11-29T19:31:43Z")],
        "SK": [],
        "TIN": [start(tin, "674606b1-2270-4285-928f-eef4a6b90a60", "2019-04-16T20:40:50Z")],
        "ZZ": [],
    })
}

fn wrong_window(path: &str) -> Errors {
    let invalid = |name, query: &str, message| {
        (name, curl(&format!("{path}?{query}")), QueryError::InvalidWindow(message))
    };
    vec![
        ("missing_window", curl(path), QueryError::MissingWindow(EXAMPLES)),
        ("invalid_length", curl(&format!("{path}?days=0")), wrong_length(DAYS, "0")),
        invalid("two_windows", "days=1&hours=1", WAYS),
        invalid("wrong_order", "from=2019-05-13T00:00:00Z&to=2019-05-12T00:00:00Z", ORDER),
        invalid("invalid_instant", "from=yesterday", INSTANT),
    ]
}
