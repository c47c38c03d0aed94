//! The dashboard without interaction: it shows new events, a service that fails, and missing parts.

use std::{
    future::pending,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use query_api::{QueryMetrics, QueryOptions, QueryService};
use shared::{
    clock::Clock,
    http::{self, Router, ServeOptions},
    store::{EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    telemetry::{self, Probes},
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    data::ENDING_AT,
    driver::Browser,
    page::{Page, event, post, texts},
    service::{BOOKEND, Service, eventually},
};

#[test]
fn the_command_that_a_newcomer_is_shown_works_and_its_events_appear_by_themselves() {
    let page = Page::over(&[]);
    page.open("?span=1h");
    let command = eventually("the page shows a command", || {
        Some(page.text("#welcome-command")).filter(|text| !text.is_empty())
    });
    page.browser.run("window.unloaded = false", &[]);
    let script =
        format!("curl() {{ command curl -sS --noproxy '*' --fail-with-body \"$@\"; }}\n{command}");
    let done = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains(r#""accepted":2"#), "{command}\n{said}");
    eventually("the start appears", || (page.ranking() == [("SK".to_owned(), 1)]).then_some(()));
    eventually("the events are counted", || {
        let rows = page.texts("#codes tbody tr");
        (rows == ["accepted\t\t2", "discarded\texpired\t0", "rejected\t\t0"]).then_some(())
    });
    eventually("there is no lag", || (page.text("#lag-records") == "0").then_some(()));
    assert!(page.texts("#welcome").is_empty(), "the hint disappears with the first events");
    assert_eq!(page.browser.run("return window.unloaded", &[]), false, "the page was not reloaded");
    page.assert_clean();
}

#[test]
fn a_rejected_event_shows_with_its_code_and_a_paused_page_goes_on() {
    let page = Page::over(&[event("ann", "s", "start", ENDING_AT, "SK")]);
    page.open("?span=1h");
    eventually("it is live", || (page.text("#state") == "Live").then_some(()));
    page.browser.click("#pause");
    assert_eq!(page.text("#state"), "Paused");
    let reply = page.service.client().post("/v1/events", &[], br#"[{"user_id":"ann"}]"#).unwrap();
    assert_eq!(reply.status, 400);
    post(page.service.client(), &[event("ann", "t", "start", ENDING_AT, "DE")]);
    page.service.wait_until_answered(2);
    // A live page sends a request every five seconds, so the test waits longer than that.
    let paused = Instant::now();
    eventually("a request would be due", || {
        (paused.elapsed() > Duration::from_secs(8)).then_some(())
    });
    assert_eq!(page.ranking(), [("SK".to_owned(), 1)], "a paused page stays as it is");
    page.browser.click("#pause");
    let both = [("DE".to_owned(), 1), ("SK".to_owned(), 1)];
    eventually("it resumes", || {
        (page.text("#state") == "Live" && page.ranking() == both).then_some(())
    });
    eventually("the rejection shows", || {
        page.texts("#codes tbody tr")
            .contains(&"rejected\tmissing_session_id\t1".to_owned())
            .then_some(())
    });
    page.assert_clean();
}

#[test]
fn a_service_that_is_gone_is_said_and_found_again() {
    let mut page = Page::over(&[event("ann", "s", "start", ENDING_AT, "SK")]);
    page.open("?span=1h");
    page.wait_for_starts();
    page.service.kill();
    eventually("the page says so", || {
        (page.text("#state") == "Retrying: the service is not reachable").then_some(())
    });
    assert_eq!(page.ranking(), [("SK".to_owned(), 1)], "the last reply stays");
    let mut again = Command::new(BOOKEND);
    let address = page.service.client().0.to_string();
    again.env_clear().args([
        "serve",
        "--log-format",
        "json",
        "--as-of",
        ENDING_AT,
        "--listen",
        &address,
    ]);
    again.arg("--data-dir").arg(page.data.path());
    page.service = Service::run(again);
    eventually("it is live again", || (page.text("#state") == "Live").then_some(()));
}

#[test]
fn a_process_that_only_answers_questions_says_so() {
    let data = tempfile::tempdir().unwrap();
    let options = EmbeddedStoreOptions {
        cache_bytes: 8 << 20,
        write_buffer_bytes: 16 << 20,
        reserve_bytes: 0,
    };
    let store = Store::Embedded(EmbeddedStore::open(data.path(), options).unwrap());
    let registry = telemetry::registry("none").unwrap();
    let metrics = Arc::new(QueryMetrics::new(&registry).unwrap());
    let queries = QueryService::new(store, Clock::machine(), metrics, QueryOptions::default());
    let routes = Router::default()
        .with(&Arc::new(queries), query_api::routes())
        .with(&Probes::new(registry, async || Ok(())), telemetry::routes())
        .into_filter()
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(http::serve(listener, routes, ServeOptions::default(), pending()));

    let browser = Browser::start();
    browser.open(&format!("http://{address}/dashboard"));
    let said = eventually("the page says so", || texts(&browser, "#events-notice").pop());
    assert_eq!(
        said,
        "This process only serves queries. The ingest processes report events and lag."
    );
    assert!(texts(&browser, "#events-answer").is_empty(), "unknown values are hidden, not zero");
}
