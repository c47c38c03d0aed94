//! What a gate lets through, by key, origin and host.

use std::{fs, sync::LazyLock};

use tempfile::TempDir;
use test_support::lines::Lines;
use warp::{Reply as _, test::RequestBuilder};

use super::*;
use crate::{
    access::{KeyHash, generate},
    config::Secret,
    event::UserId,
    http::{
        denial::Denial,
        id::RequestId,
        request::Connected,
        right::Access,
        router::{Route, Router, Routes},
    },
};

/// A service behind a gate, and the keys in its file.
struct Service {
    keys: Option<Arc<Keys>>,
    routes: Routes,
    registry: Registry,
    file: TempDir,
}

static INGEST: LazyLock<Made> = LazyLock::new(|| made("ingest", "rights = [\"ingest\"]"));
static READ: LazyLock<Made> = LazyLock::new(|| made("read", "rights = [\"read\"]"));
static OPERATE: LazyLock<Made> = LazyLock::new(|| made("operate", "rights = [\"operate\"]"));
static ERASE: LazyLock<Made> = LazyLock::new(|| made("erase", "rights = [\"erase\"]"));
static OLD: LazyLock<Made> =
    LazyLock::new(|| made("old", "rights = [\"ingest\", \"read\"]\nexpires = 2020-01-01"));
static TENANT: LazyLock<Made> =
    LazyLock::new(|| made("tenant", "rights = [\"ingest\", \"read\"]\nusers_prefix = \"t1:\""));
static GAME: LazyLock<Made> =
    LazyLock::new(|| made("game", "rights = [\"ingest\"]\norigins = [\"https://game.example\"]"));

/// A key, and its entry in the file.
struct Made {
    key: Secret,
    entry: String,
}

fn made(id: &str, more: &str) -> Made {
    let key = generate(&id.parse().unwrap()).unwrap();
    let hash = KeyHash::of(key.reveal().as_bytes());
    Made { key, entry: format!("[[key]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n{more}\n") }
}

impl Service {
    /// One that asks for a key.
    fn keyed() -> Self {
        let file = tempfile::tempdir().unwrap();
        let path = file.path().join("keys.toml");
        let all = [&INGEST, &READ, &OPERATE, &ERASE, &OLD, &TENANT, &GAME];
        fs::write(&path, all.map(|made| made.entry.clone()).concat()).unwrap();
        let keys = Arc::new(Keys::open(&path).unwrap());
        Self::behind(Gate::default().with_keys(keys), file)
    }

    /// One that asks for no key, on loopback.
    fn open() -> Self {
        let hosts = BTreeSet::from(["bookend.example".to_owned()]);
        let origins = vec!["https://game.example".parse().unwrap()];
        let gate = Gate::default().with_hosts(hosts).with_origins(origins);
        Self::behind(gate, tempfile::tempdir().unwrap())
    }

    fn behind(gate: Gate, file: TempDir) -> Self {
        let (registry, keys) = (Registry::new(), gate.keys.clone());
        let gate = gate.counted(&registry).unwrap();
        let answer = async |_, request: Request| request.caller.key_id().to_owned().into_response();
        let could_read = async |_, request: Request| {
            request.caller.could_use(Access::ReadUser).to_string().into_response()
        };
        let user = async |_, request: Request| {
            let user = UserId::new(request.segment(0)).unwrap();
            let denied = request.caller.may_read(&user).err();
            denied.map_or_else(|| "".into_response(), |denial| denial.http().to_response())
        };
        let routes = vec![
            Route::get("/public", Access::Public, answer),
            Route::get("/could-read", Access::Public, could_read),
            Route::post("/events", Access::Ingest, answer),
            Route::get("/all", Access::ReadAll, answer),
            Route::get("/users/{user}", Access::ReadUser, user),
            Route::get("/metrics", Access::Operate, answer),
        ];
        let router = Router::default().with(&Arc::new(()), routes).behind(Arc::new(gate));
        Self { keys, routes: router.into_filter().unwrap(), registry, file }
    }

    /// The status and, of an error, its code.
    async fn ask(&self, request: RequestBuilder) -> (u16, String) {
        let reply = request.reply(&self.routes).await;
        let challenge = reply.headers().contains_key("www-authenticate");
        assert_eq!(challenge, reply.status() == 401, "{:?}", reply.headers());
        let error: Option<serde_json::Value> = serde_json::from_slice(reply.body()).ok();
        let code = error.map(|error| error["error"]["code"].as_str().unwrap().to_owned());
        (reply.status().as_u16(), code.unwrap_or_default())
    }

    async fn with_key(&self, method: &str, path: &str, key: &str) -> (u16, String) {
        self.ask(request(method, path).header("authorization", format!("Bearer {key}"))).await
    }

    fn denied(&self, reason: &str) -> f64 {
        let families = self.registry.gather();
        let family =
            families.iter().find(|it| it.name() == "bookend_access_refused_total").unwrap();
        let of_reason = family.get_metric().iter();
        let mut of_reason = of_reason.filter(|it| it.get_label()[0].value() == reason);
        of_reason.next().unwrap().get_counter().get_value()
    }
}

fn request(method: &str, path: &str) -> RequestBuilder {
    warp::test::request().method(method).path(path)
}

/// A POST with these headers and nothing else.
fn bare(headers: HeaderMap) -> Request {
    Request {
        id: RequestId::of(&headers),
        method: Method::POST,
        route: "",
        segments: Vec::new(),
        query: String::new(),
        headers,
        connected: Connected::default(),
        caller: Caller::default(),
        body: Box::pin(futures_util::stream::empty()),
    }
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn denied(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_key_has_its_rights_and_no_other() {
    let service = Service::keyed();
    let all = [&INGEST, &READ, &OPERATE, &ERASE].map(|made| made.key.reveal());
    for (method, path, allowed) in [
        ("GET", "/public", [true, true, true, true]),
        ("POST", "/events", [true, false, false, false]),
        ("GET", "/all", [false, true, false, false]),
        ("HEAD", "/all", [false, true, false, false]),
        ("GET", "/users/u", [false, true, false, false]),
        ("GET", "/metrics", [false, false, true, false]),
    ] {
        for (key, allowed) in all.iter().zip(allowed) {
            let expected = if allowed { ok() } else { denied(403, "missing_right") };
            assert_eq!(service.with_key(method, path, key).await, expected, "{path} {key}");
        }
    }
    assert_eq!(service.denied("missing_right"), 15.0);
}

#[tokio::test]
async fn without_a_key_that_is_in_force_only_public_paths_answer() {
    let service = Service::keyed();
    let (right, unknown) = (READ.key.reveal(), made("read", "").key);
    let mistyped = right.replacen("bk_read_", "bk_reads_", 1);
    let long = "b".repeat(97);
    for (key, code) in [
        ("", "no_key"),
        (&mistyped, "malformed_key"),
        (&right[..right.len() - 1], "malformed_key"),
        (&long, "malformed_key"),
        (unknown.reveal(), "unknown_key"),
        (OLD.key.reveal(), "expired_key"),
    ] {
        assert_eq!(service.with_key("GET", "/public", key).await, ok(), "{key}");
        for (method, path) in [("POST", "/events"), ("GET", "/all"), ("GET", "/metrics")] {
            assert_eq!(service.with_key(method, path, key).await, denied(401, code), "{key}");
        }
        // The path and the method are judged before the key.
        assert_eq!(service.with_key("GET", "/none", key).await, denied(404, "not_found"));
        assert_eq!(service.with_key("PUT", "/all", key).await.0, 405);
    }
    assert_eq!(service.ask(request("GET", "/users/u")).await, denied(401, "no_key"));
    assert_eq!(service.ask(request("GET", "/public")).await, ok());
    assert_eq!((service.denied("no_key"), service.denied("malformed_key")), (4.0, 9.0));
    assert_eq!((service.denied("unknown_key"), service.denied("expired_key")), (3.0, 3.0));
}

#[tokio::test]
async fn a_key_may_be_in_either_header_and_one_only_for_events_in_the_address() {
    let service = Service::keyed();
    let (ingest, read) = (INGEST.key.reveal(), READ.key.reveal());
    let post = |headers: &[(&str, String)], query: &str| {
        let first = request("POST", &format!("/events{query}"));
        headers.iter().fold(first, |request, (name, value)| request.header(*name, value))
    };
    let bearer = |key: &str| ("authorization", format!("Bearer {key}"));
    let plain = |key: &str| ("x-api-key", key.to_owned());
    let basic = || ("authorization", "Basic dTpw".to_owned());
    let lower = |key: &str| ("Authorization", format!("bearer  {key} "));
    let address = |key: &str| format!("?id=user_id&key={key}");
    for (headers, query, expected) in [
        (vec![bearer(ingest)], String::new(), ok()),
        (vec![lower(ingest)], String::new(), ok()),
        (vec![plain(ingest)], String::new(), ok()),
        (vec![basic(), plain(ingest)], String::new(), ok()),
        (vec![basic()], String::new(), denied(401, "no_key")),
        (vec![bearer(ingest), plain(ingest)], address(ingest), ok()),
        (vec![], address(ingest), ok()),
        (vec![], address(&ingest.replace('_', "%5F")), ok()),
        (vec![], address(TENANT.key.reveal()), denied(401, "malformed_key")),
        (vec![], address("x"), denied(401, "malformed_key")),
        (vec![bearer(ingest), plain(read)], String::new(), denied(401, "malformed_key")),
        (vec![bearer(ingest)], address(read), denied(401, "malformed_key")),
    ] {
        let outcome = service.ask(post(&headers, &query)).await;
        assert_eq!(outcome, expected, "{headers:?} {query}");
    }
    // Only POST needs it.
    let in_address = request("GET", &format!("/all?key={read}"));
    assert_eq!(service.ask(in_address).await, denied(401, "no_key"));
    // The library that makes the requests above keeps one line of a header.
    let keys = service.keys.as_deref().unwrap();
    let lines = |all: &[&str]| {
        let lines = all.iter().map(|key| (API_KEY, HeaderValue::from_str(key).unwrap()));
        let headers = lines.fold(HeaderMap::new(), |mut headers, (name, line)| {
            headers.append(name, line);
            headers
        });
        find(keys, &bare(headers)).map(|key| key.id.to_string())
    };
    assert_eq!(lines(&[ingest, ingest]), Ok("ingest".to_owned()));
    assert_eq!(lines(&[ingest, read]), Err(Denial::SeveralKeys));
}

#[tokio::test]
async fn a_tenant_reads_its_own_users_and_nothing_about_all() {
    let service = Service::keyed();
    let tenant = TENANT.key.reveal();
    for (method, path, expected) in [
        ("GET", "/users/t1:a", ok()),
        ("GET", "/users/t1:", ok()),
        ("GET", "/users/t1", denied(403, "foreign_user")),
        ("GET", "/users/T1:a", denied(403, "foreign_user")),
        ("GET", "/all", denied(403, "foreign_user")),
        ("GET", "/metrics", denied(403, "missing_right")),
        ("POST", "/events", ok()),
        ("GET", "/public", ok()),
    ] {
        assert_eq!(service.with_key(method, path, tenant).await, expected, "{path}");
    }
    assert_eq!(service.denied("foreign_user"), 3.0);
}

#[tokio::test]
async fn a_public_route_knows_who_could_read_and_counts_nobody() {
    let service = Service::keyed();
    for (key, expected) in [
        (READ.key.reveal(), "true"),
        (TENANT.key.reveal(), "true"),
        (INGEST.key.reveal(), "false"),
        (OLD.key.reveal(), "false"),
        ("", "false"),
    ] {
        let asked = request("GET", "/could-read").header("x-api-key", key);
        assert_eq!(asked.reply(&service.routes).await.body(), expected, "{key}");
    }
    let open = Service::open();
    let asked = request("GET", "/could-read").reply(&open.routes).await;
    assert_eq!(asked.body(), "true");
    for reason in Denial::CODES {
        assert_eq!(service.denied(reason.as_str()), 0.0, "{reason:?}");
    }
}

#[tokio::test]
async fn a_key_with_origins_is_not_for_pages_of_others() {
    let service = Service::keyed();
    for (key, origin, expected) in [
        (&GAME, Some("https://game.example"), ok()),
        (&GAME, None, ok()),
        (&GAME, Some("https://game.example.org"), denied(403, "foreign_origin")),
        (&GAME, Some("http://game.example"), denied(403, "foreign_origin")),
        (&GAME, Some("null"), denied(403, "foreign_origin")),
        (&INGEST, Some("https://other.example"), ok()),
    ] {
        let request = request("POST", "/events").header("x-api-key", key.key.reveal());
        let request = origin.into_iter().fold(request, |it, origin| it.header("origin", origin));
        assert_eq!(service.ask(request).await, expected, "{origin:?}");
    }
}

#[tokio::test]
async fn a_key_works_from_its_entry_to_its_removal() {
    let service = Service::keyed();
    assert_eq!(service.with_key("GET", "/all", READ.key.reveal()).await, ok());
    let path = service.file.path().join("keys.toml");
    let keys = Arc::new(Keys::open(&path).unwrap());
    let gate = Gate::default().with_keys(Arc::clone(&keys));
    fs::write(&path, "").unwrap();
    keys.watch(&Registry::new(), futures_util::stream::iter([()])).unwrap().await;
    let service = Service::behind(gate, tempfile::tempdir().unwrap());
    let revoked = service.with_key("GET", "/all", READ.key.reveal()).await;
    assert_eq!(revoked, denied(401, "unknown_key"));
}

#[tokio::test]
async fn the_log_line_of_a_denial_has_the_id_of_its_request() {
    let (lines, _guard) = Lines::collect();
    let service = Service::keyed();
    let of = |id: &str, path: &str| request("GET", path).header("x-request-id", id);
    assert_eq!(service.ask(of("first", "/all")).await, denied(401, "no_key"));
    assert_eq!(service.ask(of("second", "/all")).await, denied(401, "no_key"));
    let page = of("third", "/public").header("origin", "https://foreign.example");
    assert_eq!(Service::open().ask(page).await, denied(403, "foreign_origin"));
    assert_eq!(lines.with("a request was denied access").len(), 2);
    assert_eq!(["first", "second", "third"].map(|id| lines.with(id).len()), [1, 0, 1]);
}

#[tokio::test]
async fn a_page_of_another_origin_does_not_reach_an_open_service() {
    let service = Service::open();
    let foreign = || denied(403, "foreign_origin");
    for (host, origin, site, expected) in [
        ("127.0.0.1:5000", None, None, ok()),
        ("127.0.0.1:5000", Some("http://127.0.0.1:5000"), None, ok()),
        ("127.0.0.1:5000", Some("http://127.0.0.1:5001"), None, foreign()),
        ("127.0.0.1:5000", Some("http://localhost:5000"), None, foreign()),
        ("127.0.0.1:5000", Some("https://evil.example"), Some("cross-site"), foreign()),
        ("127.0.0.1:5000", Some("null"), Some("cross-site"), foreign()),
        ("127.0.0.1:5000", Some("null"), Some("same-origin"), ok()),
        ("127.0.0.1:5000", Some("http://127.0.0.1:5001"), Some("same-site"), foreign()),
        ("127.0.0.1:5000", Some("https://evil.example"), Some("none"), ok()),
        ("127.0.0.1:5000", Some("https://game.example"), Some("cross-site"), ok()),
        ("localhost", Some("http://localhost"), None, ok()),
        ("localhost:80", Some("http://localhost"), None, ok()),
    ] {
        for (method, path) in [("POST", "/events"), ("GET", "/all"), ("GET", "/none")] {
            let request = request(method, path).header("host", host);
            let request =
                origin.into_iter().fold(request, |it, origin| it.header("origin", origin));
            let request =
                site.into_iter().fold(request, |it, site| it.header("sec-fetch-site", site));
            let expected = if path == "/none" && expected == ok() {
                denied(404, "not_found")
            } else {
                expected.clone()
            };
            assert_eq!(service.ask(request).await, expected, "{host} {origin:?} {site:?}");
        }
    }
    // A page may load an image or follow a link without naming its origin.
    for site in ["cross-site", "same-site", "same-origin", "none"] {
        let load = |path: &str| request("GET", path).header("sec-fetch-site", site);
        let is_own = site == "same-origin" || site == "none";
        let expected = if is_own { ok() } else { foreign() };
        for path in ["/all", "/users/u", "/metrics"] {
            assert_eq!(service.ask(load(path)).await, expected, "{site} {path}");
        }
        assert_eq!(service.ask(load("/public")).await, ok(), "{site}");
    }
    let lines = |name: HeaderName, lines: [&'static str; 2]| {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:1"));
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_static(line));
        }
        Gate::default().with_hosts(BTreeSet::new()).source(&bare(headers))
    };
    let own = "http://localhost:1";
    assert_eq!(lines(header::ORIGIN, [own, own]), Ok(()));
    assert_eq!(lines(header::ORIGIN, [own, "http://evil.example"]), Err(Denial::ForeignOrigin));
    assert_eq!(lines(header::ORIGIN, ["http://evil.example", own]), Err(Denial::ForeignOrigin));
    assert_eq!(lines(header::HOST, ["rebound.example", "localhost"]), Err(Denial::ForeignHost));
    assert_eq!(lines(header::HOST, ["localhost", "rebound.example"]), Err(Denial::ForeignHost));
}

#[tokio::test]
async fn a_name_that_an_attacker_may_point_at_this_machine_does_not_reach_an_open_service() {
    let service = Service::open();
    for (host, is_here) in [
        ("127.0.0.1", true),
        ("127.0.0.1:5000", true),
        ("10.0.0.1", true),
        ("[::1]:5000", true),
        ("localhost", true),
        ("LOCALHOST:5000", true),
        ("localhost.:5000", true),
        ("a.b.localhost", true),
        ("machine", true),
        ("Bookend.example:5000", true),
        ("bookend.example.", true),
        ("rebound.example", false),
        ("rebound.example.:5000", false),
        ("127.0.0.1.rebound.example", false),
        ("localhost.example", false),
        ("notlocalhost.example", false),
        ("a.bookend.example", false),
        ("127.1", false),
        // Browsers do not say of these that a page of another origin calls.
        ("0.0.0.0:5000", false),
        ("[::]:5000", false),
        ("[::ffff:127.0.0.1]:5000", false),
        ("[::ffff:0.0.0.0]", false),
        ("[rebound.example]", false),
        ("http://rebound.example", false),
    ] {
        let outcome = service.ask(request("GET", "/all").header("host", host)).await;
        let expected = if is_here { ok() } else { denied(403, "foreign_host") };
        assert_eq!(outcome, expected, "{host}");
    }
    assert_eq!(service.ask(request("GET", "/all")).await, ok());
    // A service that other machines reach has the names that its operator gave it.
    let reachable = Service::behind(Gate::default(), tempfile::tempdir().unwrap());
    let outcome = reachable.ask(request("GET", "/all").header("host", "bookend.example")).await;
    assert_eq!(outcome, ok());
}
