//! Pages of other origins: an allowed one sends and reads, and any other one reaches nothing.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::Reply,
    data::ENDING_AT,
    driver::Browser,
    page::event,
    service::{BOOKEND, Metrics, Service, eventually},
};

/// Sends a request, and returns what the page can read of the reply.
const ASK: &str = "return fetch(arguments[0], arguments[1]).then(
    async (reply) => ({
      status: reply.status,
      id: reply.headers.get('x-request-id'),
      text: await reply.text(),
    }),
    ({ name }) => name,
  )";

/// Sends a beacon when the page ends.
const BEACON: &str = "const [url, text] = arguments;
  addEventListener('pagehide', () => navigator.sendBeacon(url, text))";

/// An empty page at an origin of its own.
struct Site(SocketAddr);

impl Site {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\n";
                let page = "<!doctype html><title>A game</title>";
                write!(stream, "{head}content-length: {}\r\n\r\n{page}", page.len()).ok();
            }
        });
        Self(address)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// A service, and a page of another origin in a browser.
struct World {
    service: Service,
    browser: Browser,
    /// A key that may read everything.
    operator: Option<String>,
    _data: TempDir,
}

impl World {
    /// With a service that takes no keys.
    fn open() -> Self {
        Self::with(&Site::start(), tempfile::tempdir().unwrap(), None)
    }

    /// With a service that takes keys; returns one that may send events from this origin.
    fn with_keys(origin: impl Fn(&Site) -> String) -> (Self, String) {
        let (site, data) = (Site::start(), tempfile::tempdir().unwrap());
        let keys = keys(data.path());
        let sender = key(&keys, &["--id", "web", "--rights", "ingest", "--origin", &origin(&site)]);
        let operator = key(&keys, &["--id", "operator", "--rights", "read,operate"]);
        (Self::with(&site, data, Some(operator)), sender)
    }

    fn with(site: &Site, data: TempDir, operator: Option<String>) -> Self {
        let keys = keys(data.path());
        let mut flags = vec!["--as-of", ENDING_AT];
        if operator.is_some() {
            flags.extend(["--keys", keys.to_str().unwrap()]);
        }
        let service = Service::start(&data.path().join("data"), &flags);
        let browser = Browser::start();
        browser.open(&site.origin());
        Self { service, browser, operator, _data: data }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.client().0)
    }

    /// Sends a request from the page, and returns the part of the reply that the page can read.
    fn ask(&self, path: &str, options: &Value) -> Value {
        self.browser.run(ASK, &[self.url(path).into(), options.clone()])
    }

    /// Sends a beacon when the page is left, and leaves it.
    fn leave_with(&self, path: &str, text: &str) {
        self.browser.run(BEACON, &[self.url(path).into(), text.into()]);
        self.browser.open("about:blank");
    }

    /// The reply to a client other than a browser.
    fn get(&self, path: &str) -> Reply {
        let key = self.operator.as_ref().map(|key| ("x-api-key", key.as_str()));
        self.service.client().send("GET", path, key.as_slice(), b"").unwrap()
    }

    /// Waits until this user has one session without an end.
    fn wait_for(&self, user: &str) {
        let path = format!("/v1/users/{user}/sessions?status=open");
        eventually("the event is stored", || {
            (self.get(&path).json()["sessions"].as_array().unwrap().len() == 1).then_some(())
        });
    }

    /// Waits until this many requests of a foreign page were refused; no event may be accepted.
    fn wait_for_refusals(&self, requests: f64) {
        eventually("the requests are refused", || {
            let metrics = Metrics(self.get("/metrics").text());
            let accepted = r#"bookend_ingest_events_total{code="",outcome="accepted"}"#;
            assert_eq!(metrics.samples(accepted), [0.0]);
            let refused = r#"bookend_access_refused_total{reason="foreign_origin"}"#;
            (metrics.sum(refused) == requests).then_some(())
        });
    }
}

fn keys(data: &Path) -> PathBuf {
    data.join("keys.toml")
}

/// Makes a key.
fn key(file: &Path, flags: &[&str]) -> String {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["key", "new"]).args(flags).arg("--keys").arg(file);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A batch of one start.
fn start(user: &str) -> String {
    let event = event(user, "s", "start", ENDING_AT, "SK");
    format!("[{}]", String::from_utf8(event).unwrap())
}

#[test]
fn a_page_of_an_allowed_origin_sends_events_and_reads_the_replies() {
    let (world, key) = World::with_keys(Site::origin);
    let bearer = format!("Bearer {key}");
    let headers = json!({
        "authorization": bearer, "content-type": "application/json", "x-request-id": "page-1",
    });
    let options = json!({
        "method": "POST", "keepalive": true, "headers": headers, "body": start("fetched"),
    });
    let reply = world.ask("/v1/events", &options);
    assert_eq!((&reply["status"], &reply["id"]), (&json!(200), &json!("page-1")), "{reply}");
    assert!(reply["text"].as_str().unwrap().contains(r#""accepted":1"#), "{reply}");
    world.wait_for("fetched");
    // Refusals are read too.
    for (headers, status) in [
        (json!({ "x-api-key": key }), 403),
        (json!({ "x-api-key": key.clone() + "x" }), 401),
        (json!({}), 401),
    ] {
        let reply = world.ask("/v1/users/fetched/sessions", &json!({ "headers": headers }));
        assert_eq!(reply["status"], status, "{headers}: {reply}");
    }
    world.leave_with(&format!("/v1/events?key={key}"), &start("beacon"));
    world.wait_for("beacon");
}

#[test]
fn a_page_of_another_origin_than_the_keys_reaches_nothing() {
    let (world, key) = World::with_keys(|_| "https://game.example".to_owned());
    let headers = json!({ "x-api-key": key });
    let asking = json!({ "method": "POST", "headers": headers, "body": start("asking") });
    assert_eq!(world.ask("/v1/events", &asking), "TypeError");
    // The browser did not send it, but sends these without asking first.
    let with_key = format!("/v1/events?key={key}");
    let plain = json!({ "method": "POST", "body": start("plain") });
    assert_eq!(world.ask(&with_key, &plain), "TypeError");
    world.leave_with(&with_key, &start("beacon"));
    world.wait_for_refusals(2.0);
    assert_eq!(world.get("/v1/users/beacon/sessions?status=open").json()["sessions"], json!([]));
}

#[test]
fn a_page_of_another_origin_reaches_nothing_of_an_open_service_on_loopback() {
    let world = World::open();
    for mode in ["cors", "no-cors"] {
        let plain = json!({ "method": "POST", "mode": mode, "body": start("plain") });
        let reply = world.ask("/v1/events", &plain);
        // A page sees nothing of a reply that it may not read, not even its status.
        assert!(reply == "TypeError" || (reply["status"] == 0 && reply["text"] == ""), "{reply}");
    }
    assert_eq!(world.ask("/v1/users/plain/sessions", &json!({})), "TypeError");
    world.leave_with("/v1/events", &start("beacon"));
    world.wait_for_refusals(4.0);
    assert_eq!(world.get("/v1/users/beacon/sessions?status=open").json()["sessions"], json!([]));
}
