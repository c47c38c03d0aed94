//! The dashboard of a service that a test has started, as its reader meets it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Client, LINES},
    data::{ENDING_AT, generate, joined},
    driver::Browser,
    service::{Service, eventually},
};

/// A service, and a browser beside it.
pub(crate) struct Page {
    pub(crate) service: Service,
    pub(crate) browser: Browser,
    pub(crate) data: TempDir,
}

/// One event as a line.
pub(crate) fn event(user: &str, session: &str, kind: &str, ts: &str, country: &str) -> Vec<u8> {
    let event = json!({ "user_id": user, "session_id": session, "event": kind, "ts": ts, "country": country });
    event.to_string().into_bytes()
}

impl Page {
    /// Over a service whose clock begins at [`ENDING_AT`], and which has answered all of `events`.
    pub(crate) fn over(events: &[Vec<u8>]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
        post(service.client(), events);
        service.wait_until_answered(events.len());
        Self { service, browser: Browser::start(), data }
    }

    /// Over a made-up month.
    pub(crate) fn over_a_month() -> Self {
        Self::over(&generate("clean", 3_000, 7))
    }

    /// Shows the page at `query`, which begins with `?` or is empty.
    pub(crate) fn open(&self, query: &str) {
        self.browser.open(&format!("http://{}/dashboard{query}", self.service.client().0));
    }

    /// The text of every element that fits `selector`, as far as it is to be seen.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        texts(&self.browser, selector)
    }

    /// The text of the first element that fits `selector`, if it is to be seen.
    pub(crate) fn text(&self, selector: &str) -> String {
        self.texts(selector).into_iter().next().unwrap_or_default()
    }

    /// The address of the page.
    pub(crate) fn address(&self) -> String {
        self.browser.run("return location.href", &[]).as_str().unwrap().to_owned()
    }

    /// Waits until the starts are there.
    pub(crate) fn wait_for_starts(&self) {
        eventually("the starts are shown", || {
            (!self.texts("#ranking tbody tr").is_empty()).then_some(())
        });
    }

    /// The countries in the ranking with their starts, from top to bottom.
    pub(crate) fn ranking(&self) -> Vec<(String, u64)> {
        let codes = self.texts("#ranking .code");
        codes
            .into_iter()
            .zip(self.texts("#ranking .starts").iter().map(|text| number(text)))
            .collect()
    }

    /// Presses Tab until what has the focus fits `selector`.
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

    /// Fails when the page has complained, or when it has asked anybody but the service.
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
            // What the browser opens before it is told anything.
            let nothing =
                url.starts_with("data:") || url.starts_with("about:") || url.starts_with("chrome:");
            assert!(nothing || url.starts_with(own), "the page asked {url}");
            asked += u32::from(!nothing);
        }
        assert!(asked > 10, "the page and its files were asked for");
    }
}

/// What [`Page::texts`] is.
pub(crate) fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let script = "return [...document.querySelectorAll(arguments[0])].filter((it) => it.checkVisibility()) \
                  .map((it) => it.innerText.trim())";
    serde_json::from_value(browser.run(script, &[selector.into()])).unwrap()
}

/// Posts events in batches that the service takes.
pub(crate) fn post(client: Client, events: &[Vec<u8>]) {
    for batch in events.chunks(1_000) {
        let reply = client.post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.json()["accepted"], batch.len(), "{}", reply.text());
    }
}

/// A number as the page writes it: `1,234`.
pub(crate) fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}
