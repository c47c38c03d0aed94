//! The API page at `/`: a reader can send every request, under every host name of the page.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    data::project,
    driver::Browser,
    page::Page,
    service::{Service, eventually},
};

/// For each request: its method and path and, after it was sent, its address and status.
const CALLS: &str = r"
    const text = (call, selector) => call.querySelector(selector)?.textContent.trim() ?? '';
    return [...document.querySelectorAll('.opblock')].map((call) => [
      `${text(call, '.opblock-summary-method')} ${call.querySelector('[data-path]').dataset.path}`,
      text(call, '.request-url pre'),
      text(call, '.live-responses-table tbody .response-col_status').slice(0, 3),
    ])";

/// A deprecated request that is open has no class that says so.
const OPEN: &str = r"
    const closed = [...document.querySelectorAll('.opblock:not(:has(.opblock-body))')];
    closed.forEach((call) => call.querySelector('.opblock-summary-control').click());
    return document.querySelectorAll('.opblock .execute').length";

/// The number of fields that are filled in, of the requests of a path or of all requests.
const FILLED: &str = r"
    const calls = [...document.querySelectorAll('.opblock')].filter(
      (call) => !arguments[0] || call.querySelector('[data-path]').dataset.path === arguments[0],
    );
    const fields = calls.flatMap((call) => [...call.querySelectorAll('tr[data-param-name] :is(input, select), .body-param__text')]);
    return fields.filter(({ value }) => value).length";

const TRY: &str =
    "document.querySelectorAll('.opblock .execute').forEach((button) => button.click())";

/// Waits until the requests of a path, or all requests, are filled in with their examples. That
/// happens a moment after they open, so a request sent earlier would be another one.
fn wait_until_filled_in(page: &Page, path: Option<&str>) {
    let described = page.service.client().get("/openapi.json").unwrap().json();
    let paths = described["paths"].as_object().unwrap();
    let described = paths.iter().filter(|(known, _)| path.is_none_or(|path| path == *known));
    let calls = described.flat_map(|(_, calls)| calls.as_object().unwrap().values());
    let examples = |call: &Value| {
        let parameters = call["parameters"].as_array().into_iter().flatten();
        let given = |it: &&Value| !it["example"].is_null() || !it["schema"]["default"].is_null();
        parameters.filter(given).count() + usize::from(call["requestBody"].is_object())
    };
    let expected: usize = calls.map(examples).sum();
    let filled = || page.browser.run(FILLED, &[path.into()]);
    eventually("the examples are filled in", || (filled() == expected).then_some(()));
}

/// Opens the request of `path`, sends it as it is filled in, and returns the shown reply.
fn tried(page: &Page, path: &str) -> String {
    let call = format!("document.querySelector('[data-path=\"{path}\"]')?.closest('.opblock')");
    let click = |what: &str| {
        let script =
            format!("const part = {call}?.querySelector('{what}'); part?.click(); return !!part");
        eventually(what, || (page.browser.run(&script, &[]) == true).then_some(()));
    };
    click(".opblock-summary-control");
    wait_until_filled_in(page, Some(path));
    click(".execute");
    let script = format!(
        "return {call}.querySelector('.live-responses-table tbody .highlight-code')?.innerText"
    );
    eventually("there is a reply", || {
        let shown = page.browser.run(&script, &[]);
        // The text starts with that of the download button.
        let shown = shown.as_str()?.trim_start_matches("Download").trim();
        (!shown.is_empty()).then(|| shown.to_owned())
    })
}

#[test]
fn every_call_can_be_tried_by_whichever_name_the_page_was_opened() {
    let data = tempfile::tempdir().unwrap();
    // The clock for which the examples are written.
    let service = Service::start(data.path(), &["--as-of", "2019-05-13T12:00:00Z"]);
    let batch = std::fs::read(project().join("data/seed-batch.json")).unwrap();
    assert_eq!(service.client().post("/user/batches", &[], &batch).unwrap().status, 200);
    service.wait_until_answered(8);
    let page = Page { service, browser: Browser::start(), data };
    let origin = format!("http://localhost:{}", page.service.client().0.port());
    page.browser.open(&format!("{origin}/"));
    let calls =
        || -> Vec<[String; 3]> { serde_json::from_value(page.browser.run(CALLS, &[])).unwrap() };
    let described = page.service.client().get("/openapi.json").unwrap().json();
    let described: usize = described["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    eventually("every call is shown", || (calls().len() == described).then_some(()));
    eventually("every call is open", || (page.browser.run(OPEN, &[]) == described).then_some(()));
    wait_until_filled_in(&page, None);
    page.browser.run(TRY, &[]);
    let answered = eventually("every request has a reply", || {
        let calls = calls();
        calls.iter().all(|[_, _, status]| !status.is_empty()).then_some(calls)
    });
    let others: BTreeMap<_, _> = answered
        .iter()
        .filter(|[_, asked, status]| status != "200" || !asked.starts_with(&origin))
        .map(|[call, asked, status]| (call, (asked, status)))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    page.assert_clean();
    // The link to the dashboard.
    page.browser.click("header a");
    eventually("the dashboard is shown", || page.address().ends_with("/dashboard").then_some(()));
    let shown = page.browser.run("return document.title", &[]);
    assert_ne!(shown, Value::from("Bookend"), "it is another page");
}

/// The service would discard an example that is years old, and reject a future one.
#[test]
fn who_sends_the_example_is_told_of_it_afterwards() {
    for clock in [&[][..], &["--as-of", "2016-12-02T15:00:00Z"]] {
        let data = tempfile::tempdir().unwrap();
        let service = Service::start(data.path(), clock);
        send_the_example(&Page { service, browser: Browser::start(), data });
    }
}

fn send_the_example(page: &Page) {
    page.browser.open(&format!("http://{}/", page.service.client().0));
    let tried = |path| -> Value { serde_json::from_str(&tried(page, path)).unwrap() };
    let reply = tried("/v1/events");
    assert_eq!(
        (&reply["accepted"], &reply["discarded"]),
        (&2.into(), &Value::Array(Vec::new())),
        "{reply}"
    );
    let user = "d6313e1fb7d247a6a034e2aadc30ab3f";
    let sessions =
        || page.service.client().get(&format!("/v1/users/{user}/sessions")).unwrap().json();
    eventually("it is paired", || (sessions()["sessions"].as_array()?.len() == 1).then_some(()));
    assert_eq!(tried("/v1/users/{user_id}/sessions"), sessions());
    assert_eq!(tried("/v1/users/{user_id}/sessions/{session_id}")["status"], "complete");
    page.assert_clean();
}

/// A browser freezes when it shows some megabytes.
#[test]
fn of_a_long_reply_the_beginning_is_shown() {
    let page = Page::over_a_month();
    let whole = page.service.client().get("/user/last-events?days=170").unwrap().text().len();
    assert!(whole > 300_000, "{whole}");
    page.browser.open(&format!("http://{}/", page.service.client().0));
    let shown = tried(&page, "/user/last-events");
    assert!(shown.contains(&format!("{whole} characters in total: use curl")), "{shown:.300}");
    assert!(shown.len() < whole, "{}", shown.len());
}
