//! A headless Chromium, driven by a chromedriver process with the W3C WebDriver protocol.
//!
//! The protocol is JSON over HTTP, so the HTTP client of the tests is enough. The crates for it
//! need a runtime, or have licences that the project does not allow.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::client::Client;

/// Keys by their code points in WebDriver.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const RIGHT: &str = "\u{e014}";
pub(crate) const DOWN: &str = "\u{e015}";

/// The key of an element reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A headless Chromium with one window, which is closed on drop.
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("chromedriver");
        // A time zone with an offset of 5:45 hours. No time on a page may depend on it.
        command
            .env("TZ", "Asia/Kathmandu")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let started = command.stderr(Stdio::null()).spawn();
        let mut driver =
            started.expect("chromedriver must be installed; run `deploy/test --install`");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // chromedriver keeps writing to its pipe, so a thread must read it.
        std::thread::spawn(move || lines.for_each(drop));
        let port: u16 = port.expect("chromedriver prints the port that it listens on");
        let client = Client(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut browser = Self { driver, client, session: String::new() };
        let flags = [
            "--headless=new",
            // Chromium has no sandbox for root; it opens only the pages of this project.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1280,900",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let session = browser.command("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens a URL.
    pub(crate) fn open(&self, url: &str) {
        self.tell("url", &json!({ "url": url }));
    }

    /// Runs the body of a JavaScript function and returns its result; `given` are its `arguments`.
    pub(crate) fn run(&self, body: &str, given: &[Value]) -> Value {
        self.tell("execute/sync", &json!({ "script": body, "args": given }))
    }

    /// Presses and releases keys one after the other, in the element with the focus.
    pub(crate) fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let stroke = |kind: &str| json!({ "type": kind, "value": key.to_string() });
            [stroke("keyDown"), stroke("keyUp")]
        });
        let strokes: Vec<_> = strokes.collect();
        self.tell(
            "actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }),
        );
    }

    /// Clicks the centre of the first element that matches `selector`.
    pub(crate) fn click(&self, selector: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        let element = self.tell("element", &wanted);
        self.tell(&format!("element/{}/click", element[ELEMENT].as_str().unwrap()), &json!({}));
    }

    /// Sends a command of the Chrome DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, params: &Value) -> Value {
        self.tell("goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// Returns and clears the entries of the log `browser` or `performance`.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.tell("se/log", &json!({ "type": kind }));
        entries.as_array().unwrap().clone()
    }

    fn tell(&self, what: &str, body: &Value) -> Value {
        self.command("POST", &format!("/session/{}/{what}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/json; charset=utf-8")];
        let reply = self.client.send(method, path, &headers, body.to_string().as_bytes());
        let reply = reply.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
        reply.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the session first, because killing chromedriver alone would leave Chromium running.
        self.client.send("DELETE", &format!("/session/{}", self.session), &[], b"").ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
