//! The pages of a service that wants an API key: they ask for it, keep it for the tab only, and say
//! what a key lacks. The service in front of the real pages only knows two keys.

use std::{future::pending, net::SocketAddr, sync::Arc};

use query_api::{QueryMetrics, QueryOptions, QueryService};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    http::{self, HttpError, Router, Routes, ServeOptions},
    store::{EmbeddedStore, Store, embedded::EmbeddedStoreOptions},
    telemetry::{self, Probes},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use warp::{Filter, http::StatusCode, path::FullPath, reply::Response};

use crate::{
    driver::{Browser, ENTER},
    page::texts,
    service::eventually,
};

/// A key with every right.
const FULL: &str = "bk_full_secret";
/// A key that may not read the metrics.
const READER: &str = "bk_reader_secret";

/// A service with keys, and a browser.
struct Locked {
    address: SocketAddr,
    browser: Browser,
    _runtime: Runtime,
    _data: TempDir,
}

/// Whether a request is refused: only pages and the description need no key.
fn refusal(path: &str, key: Option<&str>) -> Option<HttpError> {
    let error = |status, code, message: &str| Some(HttpError::new(status, code, message));
    match (path, key) {
        (path, _) if !path.starts_with("/v1/") && path != "/metrics" => None,
        (_, None) => error(StatusCode::UNAUTHORIZED, "no_key", "give a key"),
        ("/metrics", Some(READER)) => {
            error(StatusCode::FORBIDDEN, "missing_right", "this key lacks the right operate")
        }
        (_, Some(FULL | READER)) => None,
        _ => error(StatusCode::UNAUTHORIZED, "unknown_key", "no such key"),
    }
}

/// Judges requests before `routes` do.
fn guarded(routes: Routes) -> Routes {
    let judge = async |path: FullPath, bearer: Option<String>| -> Result<Response, _> {
        let key = bearer.as_deref().and_then(|bearer| bearer.strip_prefix("Bearer "));
        let refused = refusal(path.as_str(), key);
        refused.map(|error| error.to_response()).ok_or_else(warp::reject::not_found)
    };
    let bearer = warp::header::optional("authorization");
    warp::path::full().and(bearer).and_then(judge).or(routes).unify().boxed()
}

impl Locked {
    /// Serves an empty store, with or without metrics at this address.
    fn start(has_metrics: bool) -> Self {
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
        let mut router = Router::default().with(&Arc::new(queries), query_api::routes());
        if has_metrics {
            router = router.with(&Probes::new(registry, async || Ok(())), telemetry::routes());
        }
        let routes = guarded(router.into_filter().unwrap());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(http::serve(listener, routes, ServeOptions::default(), pending()));
        Self { address, browser: Browser::start(), _runtime: runtime, _data: data }
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("http://{}{path}", self.address));
    }

    /// Waits until the first visible element that matches `selector` has a text with `part`.
    fn wait_for(&self, selector: &str, part: &str) {
        eventually(part, || {
            texts(&self.browser, selector).first().filter(|text| text.contains(part)).map(drop)
        });
    }

    /// Waits until the page asks for a key, and types one.
    fn give(&self, key: &str) {
        self.wait_for("#key-title", "API key");
        self.browser.click("#api-key");
        self.browser.press(&format!("{key}{ENTER}"));
    }

    /// The texts that the browser stores for the page: for the tab, for all tabs, and in cookies.
    fn stored(&self) -> [String; 3] {
        let script = "const all = (store) => Object.values(store).join(); \
                      return [all(sessionStorage), all(localStorage), document.cookie]";
        serde_json::from_value(self.browser.run(script, &[])).unwrap()
    }

    /// The addresses of all requests so far, and that of the page.
    fn addresses(&self) -> String {
        let page = self.browser.run("return location.href", &[]);
        let sent = self.browser.log("performance").into_iter().filter_map(|entry| {
            let said: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            Some(said["message"]["params"]["request"]["url"].as_str()?.to_owned())
        });
        sent.chain([page.to_string()]).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn the_dashboard_asks_for_a_key_says_why_one_is_refused_and_keeps_it_for_the_tab() {
    let page = Locked::start(true);
    page.open("/dashboard?user=ann");
    page.wait_for("#state", "Waiting for an API key");
    assert_eq!(texts(&page.browser, "main h2"), ["This service needs an API key"]);
    page.give("bk_wrong_secret");
    page.wait_for("#key-notice", "The service refused this key: no such key.");
    assert_eq!(page.stored(), ["", "", ""], "a refused key is not kept");

    page.give(FULL);
    page.wait_for("#user-summary", "has no sessions");
    page.wait_for("#events-notice", "only serves queries");
    page.wait_for("#welcome-command", "-H \"Authorization: Bearer $BOOKEND_API_KEY\"");
    assert!(texts(&page.browser, "#key").is_empty(), "the form is closed");
    assert_eq!(page.stored(), [FULL, "", ""]);

    page.open("/dashboard?user=ann");
    page.wait_for("#user-summary", "has no sessions");
    page.browser.click("#forget-key");
    page.wait_for("#state", "Waiting for an API key");
    assert_eq!(page.stored(), ["", "", ""]);
    let addresses = page.addresses();
    assert!(addresses.contains("/v1/session-starts/counts"), "{addresses}");
    assert!(!addresses.contains("secret"), "{addresses}");
}

#[test]
fn a_right_that_a_key_lacks_is_named_where_its_data_would_be() {
    let page = Locked::start(true);
    page.open("/dashboard");
    page.give(READER);
    let said = "Events and lag cannot be shown: this key lacks the right operate.";
    page.wait_for("#events-notice", said);
    page.wait_for("#starts-summary", "No session starts");
    assert!(texts(&page.browser, "#key, #metrics-link").is_empty());
}

#[test]
fn metrics_at_another_address_are_said_and_the_other_sections_are_shown() {
    let page = Locked::start(false);
    page.open("/dashboard");
    page.give(FULL);
    page.wait_for("#events-notice", "serves its metrics at another address");
    page.wait_for("#starts-summary", "No session starts");
    assert!(texts(&page.browser, "#events-answer").is_empty());
}

/// Sends a call of Swagger UI that needs a key; returns whether it could.
const TRY: &str = r#"
    const call = document.querySelector('[data-path="/v1/session-starts/counts"]')?.closest('.opblock');
    if (call && !call.classList.contains('is-open')) call.querySelector('.opblock-summary-control').click();
    const button = call?.querySelector('.execute');
    button?.click();
    return !!button"#;

/// The status of the reply.
const STATUS: &str = ".live-responses-table tbody .response-col_status";

/// Enters a key in the dialogue “Authorize”.
const AUTHORIZE: &str = r"
    const field = document.querySelector('.auth-container input');
    if (!field) return document.querySelector('button.authorize')?.click(), false;
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    set.call(field, arguments[0]);
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.closest('form').querySelector('button.authorize').click();
    return true";

#[test]
fn the_documentation_keeps_its_key_for_the_tab_and_shares_it_with_the_dashboard() {
    let page = Locked::start(true);
    page.open("/");
    let answered = |status: &str| {
        // Once, because each attempt clears the reply to the one before.
        eventually("a call is sent", || (page.browser.run(TRY, &[]) == true).then_some(()));
        page.wait_for(STATUS, status);
    };
    answered("401");
    let authorized = || page.browser.run(AUTHORIZE, &[json!(FULL)]) == true;
    eventually("there is a dialogue", || authorized().then_some(()));
    eventually("the key is kept", || (page.stored() == [FULL, "", ""]).then_some(()));
    answered("200");
    page.open("/");
    eventually("the key is used again", || {
        texts(&page.browser, ".auth-wrapper .authorize.locked").pop()
    });
    answered("200");
    page.open("/dashboard");
    page.wait_for("#starts-summary", "No session starts");
    assert!(!page.addresses().contains("secret"));
}
