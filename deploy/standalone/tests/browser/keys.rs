//! The pages of a service with keys: they ask for one, keep it for the tab only, and say what it
//! lacks.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    driver::{Browser, ENTER},
    page::texts,
    service::{Service, eventually, new_key, serve},
};

/// A service with keys, and a browser.
struct Locked {
    service: Service,
    browser: Browser,
    /// A key with the rights that the pages use.
    full: String,
    /// A key that may not read the metrics.
    reader: String,
    _data: TempDir,
}

impl Locked {
    /// Starts a service that has processed nothing, with the flags `more`.
    fn start(more: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("keys.toml");
        let full = new_key(&file, "full", "ingest,read,operate");
        let reader = new_key(&file, "reader", "read");
        let keys = ["--keys", file.to_str().unwrap()];
        let service = Service::begin(serve(&data.path().join("data"), &[&keys, more].concat()));
        Self { service, browser: Browser::start(), full, reader, _data: data }
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("http://{}{path}", self.service.client().0));
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
    let page = Locked::start(&[]);
    page.open("/dashboard?user=ann");
    page.wait_for("#state", "Waiting for an API key");
    assert_eq!(texts(&page.browser, "main h2"), ["This service needs an API key"]);
    page.give(&page.full.replace("bk_full", "bk_none"));
    page.wait_for("#key-notice", "The service refused this key: the key is mistyped");
    assert_eq!(page.stored(), ["", "", ""], "a refused key is not kept");

    page.give(&page.full);
    page.wait_for("#user-summary", "has no sessions");
    page.wait_for("#lag-records", "0");
    page.wait_for("#welcome-command", "-H \"Authorization: Bearer $BOOKEND_API_KEY\"");
    assert!(texts(&page.browser, "#key").is_empty(), "the form is closed");
    assert_eq!(page.stored(), [page.full.as_str(), "", ""]);

    page.open("/dashboard?user=ann");
    page.wait_for("#user-summary", "has no sessions");
    page.browser.click("#forget-key");
    page.wait_for("#state", "Waiting for an API key");
    assert_eq!(page.stored(), ["", "", ""]);
    let addresses = page.addresses();
    assert!(addresses.contains("/v1/session-starts/counts"), "{addresses}");
    assert!(!addresses.contains("bk_"), "{addresses}");
}

#[test]
fn a_right_that_a_key_lacks_is_named_where_its_data_would_be() {
    let page = Locked::start(&[]);
    page.open("/dashboard");
    page.give(&page.reader);
    let said = "Events and lag cannot be shown: the key does not have the right `operate`.";
    page.wait_for("#events-notice", said);
    page.wait_for("#starts-summary", "No session starts");
    assert!(texts(&page.browser, "#key, #metrics-link").is_empty());
}

#[test]
fn metrics_at_another_address_are_said_and_the_other_sections_are_shown() {
    let page = Locked::start(&["--operations-listen", "127.0.0.1:0"]);
    page.open("/dashboard");
    page.give(&page.full);
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
    let page = Locked::start(&[]);
    page.open("/");
    let answered = |status: &str| {
        // Once, because each attempt clears the reply to the one before.
        eventually("a call is sent", || (page.browser.run(TRY, &[]) == true).then_some(()));
        page.wait_for(STATUS, status);
    };
    answered("401");
    let authorized = || page.browser.run(AUTHORIZE, &[json!(page.full)]) == true;
    eventually("there is a dialogue", || authorized().then_some(()));
    eventually("the key is kept", || (page.stored() == [page.full.as_str(), "", ""]).then_some(()));
    answered("200");
    page.open("/");
    eventually("the key is used again", || {
        texts(&page.browser, ".auth-wrapper .authorize.locked").pop()
    });
    answered("200");
    page.open("/dashboard");
    page.wait_for("#starts-summary", "No session starts");
    assert!(!page.addresses().contains("bk_"));
}
