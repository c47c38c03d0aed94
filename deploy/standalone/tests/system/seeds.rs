//! The examples of both seeds, with their own calls, by curl.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    backends::{Backends, on},
    data::project,
    service::Service,
};

on!([
    the_first_seed_s_batch_is_answered_as_the_seed_says,
    the_first_seed_s_array_may_stand_in_the_command_line,
    the_second_seed_s_rows_are_answered_as_the_seed_says,
    by_the_default_clock_the_seeds_events_are_too_old_and_none_is_stored,
]);

/// The address in the command lines, the default of the service.
pub(crate) const ADDRESS: &str = "127.0.0.1:5000";

/// As in the seeds. The first has no content type, so curl sends its own.
const POST_BATCH: &str = "curl -X POST http://127.0.0.1:5000/user/batches -d @data/seed-batch.json";
const LAST_EVENTS: &str = "curl 'http://127.0.0.1:5000/user/last-events?days=170'";
const LAST_SESSIONS: &str =
    "curl 'http://127.0.0.1:5000/user/last-sessions-user?user_id=d6313e1fb7d247a6a034e2aadc30ab3f'";
const POST_ROWS: &str = "curl -X POST -H 'Content-Type: application/json' -d @data/seed-rows.json http://127.0.0.1:5000/";
const ASK_ROWS: &str = "curl -X GET -H 'Content-Type: application/json' \
    -d '{\"player_id\":\"d6313e1fb7d247a6a034e2aadc30ab10\"}' http://127.0.0.1:5000/";

/// Returns the output of `line`, a curl command, with the address of `service`. Fails on an HTTP
/// error.
pub(crate) fn curl(service: &Service, line: &str) -> String {
    let line =
        line.replace("localhost:5000", ADDRESS).replace(ADDRESS, &service.client().0.to_string());
    let script =
        format!("curl() {{ command curl -sS --noproxy '*' --fail-with-body \"$@\"; }}\n{line}");
    let done = Command::new("sh").args(["-c", &script]).current_dir(project()).output().unwrap();
    let (said, failed) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{line}\n{said}\n{failed}");
    said.into_owned()
}

fn answer(service: &Service, line: &str) -> Value {
    serde_json::from_str(&curl(service, line)).unwrap()
}

fn the_first_seed_s_batch_is_answered_as_the_seed_says(backends: Backends) {
    let data = tempfile::tempdir().unwrap();
    let service = backends.start(data.path(), &["--as-of", "2019-05-13T12:00:00Z"]);
    let report =
        json!({ "message": "POST success", "accepted": 8, "discarded": [], "rejected": [] });
    assert_eq!(answer(&service, POST_BATCH), report);
    service.wait_until_answered(8);

    let user = "d6313e1fb7d247a6a034e2aadc30ab3f";
    let session = json!({
        "user_id": user,
        "session_id": "5f933591-8cd5-4147-8736-d6237bef5891",
        "country": "ZZ",
        "started_at": "2018-11-16T18:01:37Z",
        "ended_at": "2018-11-18T06:24:50Z",
        "duration_ms": 130_993_000,
    });
    assert_eq!(answer(&service, LAST_SESSIONS), json!({ user: [session] }));
    let start = |user: &str, session: &str, ts: &str| json!({ "user_id": user, "session_id": session, "ts": ts });
    let starts = json!({
        "DE": [],
        "GH": [start("a477ecabc3cc455cb1c6d1dab77d8e5c", "4c55263e-66b2-4814-b431-8ca4c1a9dcc8", "2018-11-29T19:31:43Z")],
        "SK": [],
        "TIN": [start("d6313e1fb7d247a6a034e2aadc30ab30", "674606b1-2270-4285-928f-eef4a6b90a60", "2019-04-16T20:40:50Z")],
        // The batch of the seed has a start without a country, older than 170 days.
        "ZZ": [],
    });
    assert_eq!(answer(&service, LAST_EVENTS), starts);
}

fn the_first_seed_s_array_may_stand_in_the_command_line(backends: Backends) {
    let data = tempfile::tempdir().unwrap();
    let service = backends.start(data.path(), &["--as-of", "2019-05-13T12:00:00Z"]);
    let batch = std::fs::read_to_string(project().join("data/seed-batch.json")).unwrap();
    let report =
        answer(&service, &POST_BATCH.replace("@data/seed-batch.json", &format!("'{batch}'")));
    assert_eq!(report["accepted"], 8);
}

fn the_second_seed_s_rows_are_answered_as_the_seed_says(backends: Backends) {
    let data = tempfile::tempdir().unwrap();
    let service = backends.start(data.path(), &["--as-of", "2016-12-10T00:00:00Z"]);
    assert_eq!(curl(&service, POST_ROWS), "POST success");
    service.wait_until_answered(2);
    let session = json!({
        "user_id": "d6313e1fb7d247a6a034e2aadc30ab10",
        "session_id": "3346a60a-0989-4041-aacc-cf6ff44bd151",
        "country": "SK",
        "started_at": "2016-12-02T05:36:16Z",
        "ended_at": "2016-12-02T05:46:16Z",
        "duration_ms": 600_000,
    });
    assert_eq!(answer(&service, ASK_ROWS), json!([session]));
}

fn by_the_default_clock_the_seeds_events_are_too_old_and_none_is_stored(backends: Backends) {
    let data = tempfile::tempdir().unwrap();
    let service = backends.start(data.path(), &[]);
    let discarded: Vec<_> =
        (0..8).map(|index| json!({ "index": index, "code": "expired" })).collect();
    let report =
        json!({ "message": "POST success", "accepted": 0, "discarded": discarded, "rejected": [] });
    assert_eq!(answer(&service, POST_BATCH), report);
    // The text alone would hide that nothing was kept.
    let rows = answer(&service, POST_ROWS);
    assert_eq!((&rows["accepted"], rows["discarded"].as_array().unwrap().len()), (&json!(0), 2));

    // A valid event follows them. Once it is processed, so are they.
    let now = shared::clock::Clock::machine().now();
    let good = json!([{ "user_id": "u", "session_id": "s", "event": "start", "ts": now, "country": "AT" }]);
    assert_eq!(service.client().post("/", &[], good.to_string().as_bytes()).unwrap().status, 200);
    service.wait_until_answered(1);
    assert_eq!(service.metrics().sum("bookend_consumer_records_total"), 1.0);
    let countries = answer(&service, &LAST_EVENTS.replace("170", "365"));
    assert_eq!(countries.as_object().unwrap().keys().collect::<Vec<_>>(), ["AT"]);
    assert_eq!(answer(&service, ASK_ROWS), json!([]));
    let explained = service.client().get(
        "/v1/users/d6313e1fb7d247a6a034e2aadc30ab3f/sessions/5f933591-8cd5-4147-8736-d6237bef5891",
    );
    assert_eq!(explained.unwrap().status, 404);
}
