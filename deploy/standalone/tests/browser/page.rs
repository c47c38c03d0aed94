//! The dashboard of a service that a test has started, in a browser.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Client, LINES},
    data::{ENDING_AT, generate, joined},
    driver::Browser,
    service::{Service, eventually},
};

/// A service and a browser.
pub(crate) struct Page {
    pub(crate) service: Service,
    pub(crate) browser: Browser,
    pub(crate) data: TempDir,
}

/// One event as JSON.
pub(crate) fn event(user: &str, session: &str, kind: &str, ts: &str, country: &str) -> Vec<u8> {
    let event = json!({ "user_id": user, "session_id": session, "event": kind, "ts": ts, "country": country });
    event.to_string().into_bytes()
}

impl Page {
    /// A page of a service that has processed `events`, with its clock set to [`ENDING_AT`].
    pub(crate) fn over(events: &[Vec<u8>]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
        post(service.client(), events);
        service.wait_until_answered(events.len());
        Self { service, browser: Browser::start(), data }
    }

    /// A page with a month of generated events.
    pub(crate) fn over_a_month() -> Self {
        Self::over(&generate("clean", 3_000, 7))
    }

    /// Opens the dashboard; `query` begins with `?` or is empty.
    pub(crate) fn open(&self, query: &str) {
        self.browser.open(&format!("http://{}/dashboard{query}", self.service.client().0));
    }

    /// The text of every visible element that matches `selector`.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        texts(&self.browser, selector)
    }

    /// The text of the first visible element that matches `selector`, or an empty string.
    pub(crate) fn text(&self, selector: &str) -> String {
        self.texts(selector).into_iter().next().unwrap_or_default()
    }

    /// The URL of the page.
    pub(crate) fn address(&self) -> String {
        self.browser.run("return location.href", &[]).as_str().unwrap().to_owned()
    }

    /// Waits until the ranking has rows.
    pub(crate) fn wait_for_starts(&self) {
        eventually("the starts are shown", || {
            (!self.texts("#ranking tbody tr").is_empty()).then_some(())
        });
    }

    /// The rows of the ranking: countries and starts.
    pub(crate) fn ranking(&self) -> Vec<(String, u64)> {
        let codes = self.texts("#ranking .code");
        codes
            .into_iter()
            .zip(self.texts("#ranking .starts").iter().map(|text| number(text)))
            .collect()
    }

    /// Presses Tab until the element with the focus matches `selector`.
    pub(crate) fn tab_to(&self, selector: &str) {
        let mut passed = BTreeSet::new();
        for _ in 0..100 {
            self.browser.press(crate::driver::TAB);
            let script = "const on = document.activeElement; return [on.matches(arguments[0]), on.outerHTML.slice(0, 80)]";
            let on = self.browser.run(script, &[selector.into()]);
            if on[0] == true {
                return;
            }
            passed.insert(on[1].to_string());
        }
        panic!("Tab does not lead to {selector}, but past {passed:#?}");
    }

    /// Panics if the browser logged an error, or if the page sent a request to another host.
    pub(crate) fn assert_clean(&self) {
        let complaints = self.browser.log("browser");
        assert!(complaints.is_empty(), "{complaints:#?}");
        let own = self.browser.run("return location.origin + '/'", &[]);
        let own = own.as_str().unwrap();
        assert!(own.ends_with(&format!(":{}/", self.service.client().0.port())), "{own}");
        let mut asked = 0;
        for entry in self.browser.log("performance") {
            let told: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if told["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = told["message"]["params"]["request"]["url"].as_str().unwrap();
            // The blank page that the browser starts with.
            let nothing =
                url.starts_with("data:") || url.starts_with("about:") || url.starts_with("chrome:");
            assert!(nothing || url.starts_with(own), "the page requested {url}");
            asked += u32::from(!nothing);
        }
        assert!(asked > 10, "the page and its files were requested");
    }
}

/// See [`Page::texts`].
pub(crate) fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let script = "return [...document.querySelectorAll(arguments[0])].filter((it) => it.checkVisibility()) \
                  .map((it) => it.innerText.trim())";
    serde_json::from_value(browser.run(script, &[selector.into()])).unwrap()
}

/// Posts events in batches of the maximum size.
pub(crate) fn post(client: Client, events: &[Vec<u8>]) {
    for batch in events.chunks(1_000) {
        let reply = client.post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.json()["accepted"], batch.len(), "{}", reply.text());
    }
}

/// Parses a number in the format of the page: `1,234`.
pub(crate) fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}
