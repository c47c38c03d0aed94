//! The questions about the starts of countries, as they are described.

use serde_json::{Value, json};
use shared::http::openapi::{Call, Example, Reply, Schemas, Tag, add, of};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, RefOr, Schema},
};
use warp::http::StatusCode;

use super::{Series, curl, not_now, params, refused};
use crate::http::starts::{CountsReply, StartsReply};

const LISTED: &str = "/v1/session-starts";
const COUNTED: &str = "/v1/session-starts/counts";

/// A window of the examples whose answer is the same at any time.
const WINDOW: &str = "from=2018-11-07T00:00:00Z&to=2019-05-13T00:00:00Z";

/// Counts with and without steps.
enum Counts {}

impl PartialSchema for Counts {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(of::<CountsReply>()).item(of::<Series>()).into()
    }
}

impl ToSchema for Counts {
    fn schemas(schemas: &mut Schemas) {
        add::<CountsReply>(schemas);
        add::<Series>(schemas);
    }
}

fn start(user: &str, session: &str, ts: &str) -> Value {
    json!({ "user_id": user, "session_id": session, "ts": ts })
}

/// The starts of the seed that lie within its 170 days.
pub(super) fn of_170_days() -> Value {
    json!({
        "DE": [],
        "GH": [start("a477ecabc3cc455cb1c6d1dab77d8e5c", "4c55263e-66b2-4814-b431-8ca4c1a9dcc8", "2018-11-29T19:31:43Z")],
        "SK": [],
        "TIN": [start("d6313e1fb7d247a6a034e2aadc30ab30", "674606b1-2270-4285-928f-eef4a6b90a60", "2019-04-16T20:40:50Z")],
        "ZZ": [],
    })
}

pub(super) fn listed() -> Call {
    let whole = json!({ "from": "2018-11-24T12:00:00Z", "to": "2019-05-13T12:05:00Z", "countries": of_170_days(), "next": null });
    let cut = json!({
        "from": "2018-11-07T00:00:00Z",
        "to": "2019-05-13T00:00:00Z",
        "countries": {
            "DE": [start("9595af0063e94cb8a76cb6628c6b80eb", "06830030-d091-428b-87d6-53914d3d2a18", "2018-11-07T01:18:09Z")],
            "SK": [],
        },
        "next": CURSOR,
    });
    let last = json!({
        "from": "2018-11-07T00:00:00Z",
        "to": "2019-05-13T00:00:00Z",
        "countries": {
            "SK": [start("1ec36a67785046b3bce1dc432fad9129", "3346a60a-0989-4041-aacc-cf6ff44bd151", "2018-11-16T05:36:16Z")],
        },
        "next": null,
    });
    let page = format!("{LISTED}?{WINDOW}&country=SK&country=DE&limit=1");
    let examples = [
        Example::new("whole", curl(&format!("{LISTED}?days=170")), whole),
        Example::new("cut", curl(&page), cut),
        Example::new("last", curl(&format!("{page}&cursor={CURSOR}")), last),
    ];
    let about = "Newest first in each country. The window is given in one of the ways: `days`, or `hours`, or `from` with or without \
                 `to`; it is half-open. A page that is cut goes on with its `next` as `cursor`.";
    let call = Call::get(Tag::Questions, LISTED, "Which sessions started in each country", about)
        .taking(params::window())
        .taking(params::page(1_000, 10_000))
        .answering(StatusCode::OK, Reply::new("The starts.").json::<StartsReply>(examples));
    let mut wrong = wrong_window(LISTED);
    wrong.extend([
        Example::error(
            "invalid_limit",
            curl(&format!("{LISTED}?days=170&limit=0")),
            "`limit` must be a whole number from 1 to 10000",
        ),
        invalid_cursor(&format!("{LISTED}?days=170&cursor=x")),
    ]);
    let takes = ["days", "hours", "from", "to", "country", "limit", "cursor"];
    not_now(refused(call, LISTED, &takes, wrong), false)
}

pub(super) fn counted() -> Call {
    let counts = json!({
        "from": "2018-11-24T12:00:00Z",
        "to": "2019-05-13T12:05:00Z",
        "countries": { "DE": 0, "GH": 1, "SK": 0, "TIN": 1, "ZZ": 0 },
    });
    let series = json!({
        "from": "2018-11-07T00:00:00Z",
        "to": "2019-05-13T00:00:00Z",
        "step": "day",
        "series": {
            "DE": [{ "ts": "2018-11-07T00:00:00Z", "starts": 1 }],
            "SK": [{ "ts": "2018-11-16T00:00:00Z", "starts": 1 }],
        },
    });
    let series_of = format!("{COUNTED}?{WINDOW}&country=SK&country=DE&step=day");
    let examples = [
        Example::new("counts", curl(&format!("{COUNTED}?days=170")), counts),
        Example::new("series", curl(&series_of), series),
    ];
    let about = "Numbers alone; with `step` a series of them, in whole UTC minutes, hours or days.";
    let call =
        Call::get(Tag::Questions, COUNTED, "How many sessions started in each country", about)
            .taking(params::window())
            .taking([params::step()])
            .answering(StatusCode::OK, Reply::new("The numbers.").json::<Counts>(examples));
    let mut wrong = wrong_window(COUNTED);
    wrong.push(Example::error(
        "invalid_step",
        curl(&format!("{COUNTED}?days=170&step=week")),
        "`step` must be `hour` or `day`, or `minute` in a window of at most 2 days",
    ));
    not_now(
        refused(call, COUNTED, &["days", "hours", "from", "to", "country", "step"], wrong),
        true,
    )
}

fn wrong_window(path: &str) -> Vec<Example> {
    let invalid = |name, query: &str, message| {
        Example::error_as(name, "invalid_window", curl(&format!("{path}?{query}")), message)
    };
    vec![
        Example::error(
            "missing_window",
            curl(path),
            "say how far to look back: days=1, or hours=1.5, or from=2019-05-12T00:00:00Z&to=2019-05-13T00:00:00Z",
        ),
        invalid(
            "invalid_length",
            "days=0",
            "`days` and `hours` must be numbers above 0, fractions allowed, and at most a year",
        ),
        invalid(
            "two_windows",
            "days=1&hours=1",
            "give the window in one way: `days`, or `hours`, or `from` with or without `to`",
        ),
        invalid(
            "wrong_order",
            "from=2019-05-13T00:00:00Z&to=2019-05-12T00:00:00Z",
            "`from` must not be after `to`, which is now when it is left out",
        ),
        invalid(
            "invalid_instant",
            "from=yesterday",
            "`from` and `to` must be RFC 3339 times such as 2019-05-12T00:00:00Z",
        ),
    ]
}

/// A cursor that is none of this question.
pub(super) fn invalid_cursor(path: &str) -> Example {
    Example::error(
        "invalid_cursor",
        curl(path),
        "`cursor` must be the `next` of a reply to the same question: give the other parameters again as they were (`limit` may \
         change), or leave the cursor out to begin anew",
    )
}

/// Where the cut page of the examples goes on.
const CURSOR: &str = "WzE1NTAxODcxMDU2NzU2NDk0NTYzLFsxNTQxNTQ4ODAwMDAwLDE1NTc3MDU2MDAwMDAsIkRFIiwxNTQxNTUzNDg5MDAwLCIwNjgzMDAzMC1kMDkxLTQyOGItODdkNi01MzkxNGQzZDJhMTgiLCI5NTk1YWYwMDYzZTk0Y2I4YTc2Y2I2NjI4YzZiODBlYiJdXQ";
