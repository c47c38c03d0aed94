//! Who reaches which route of the program: every route with every kind of key, over HTTP/1.1 and
//! HTTP/2, in clear text and over TLS; tenants; the port for operators; the refusal to be open.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use reqwest::{Certificate, Client, ClientBuilder, Method, Response};
use serde_json::{Value, json};
use shared::http::{Access, Route};
use tempfile::TempDir;

use crate::{
    command_line::said,
    service::{BOOKEND, PATIENCE, Service, eventually, serve},
};

/// The instant of the events and of the clock.
const NOON: &str = "2019-05-13T12:00:00Z";
/// A name of this machine.
const LOCAL: &str = "localhost";

/// A request, what its route needs, and the status for a caller who may use it.
struct Call {
    method: Method,
    path: &'static str,
    body: Option<&'static str>,
    access: Access,
    status: u16,
}

const fn call(method: Method, path: &'static str, access: Access) -> Call {
    Call { method, path, body: None, access, status: 200 }
}

/// Every call of clients and operators.
fn calls() -> Vec<Call> {
    use Access::{Ingest, Operate, Public, ReadAll, ReadUser};
    let batch =
        r#"[{"user_id":"t1:u","session_id":"s","event":"end","ts":"2019-05-13T11:00:00Z"}]"#;
    let post = |path| Call { body: Some(batch), ..call(Method::POST, path, Ingest) };
    let get = |path, access| call(Method::GET, path, access);
    let unknown = |path| Call { status: 404, ..get(path, ReadUser) };
    vec![
        post("/v1/events"),
        post("/user/batches?id=user_id"),
        post("/"),
        get("/v1/session-starts?days=1", ReadAll),
        get("/v1/session-starts/counts?days=1", ReadAll),
        get("/user/last-events?days=1", ReadAll),
        get("/v1/users/t1:u/sessions", ReadUser),
        get("/v1/sessions?user_id=t1:u", ReadUser),
        get("/user/last-sessions-user?user_id=t1:u", ReadUser),
        Call { body: Some(r#"{"user_id":"t1:u"}"#), ..get("/", ReadUser) },
        unknown("/v1/users/t1:u/sessions/none"),
        unknown("/v1/session?user_id=t1:u&session_id=none"),
        get("/metrics", Operate),
        get("/metrics/", Operate),
        get("/livez", Public),
        get("/readyz", Public),
        get("/", Public),
        get("/dashboard", Public),
        get("/dashboard/main.js", Public),
        get("/docs/page.js", Public),
        get("/openapi.json", Public),
    ]
}

/// A key, what it may do, and whether its only users are those of `t1:`.
struct Given {
    name: &'static str,
    key: Option<String>,
    /// The code of the refusal, if the key is not in force.
    refused: Option<&'static str>,
    right: Option<&'static str>,
    tenant: Option<&'static str>,
}

struct World {
    dir: TempDir,
    keys: Vec<Given>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { dir: tempfile::tempdir().unwrap(), keys: Vec::new() };
        for right in ["ingest", "read", "operate", "erase"] {
            let key = Some(world.made(right, &["--rights", right]));
            let (name, right) = (right, Some(right));
            world.keys.push(Given { name, key, refused: None, right, tenant: None });
        }
        let rights = ["--rights", "ingest,read,operate"];
        let expired = world.made("expired", &rights);
        let id = "id = \"expired\"\n";
        let text = fs::read_to_string(world.file()).unwrap();
        assert!(text.contains(id), "{text}");
        fs::write(world.file(), text.replace(id, &format!("{id}expires = 2020-01-01\n"))).unwrap();
        let revoked = world.made("revoked", &rights);
        world.command(&["revoke", "--id", "revoked"]);
        let right = world.keys[1].key.clone().unwrap();
        let mistyped = right.replacen("bk_read_", "bk_raed_", 1);
        for (name, key, refused) in [
            ("none", None, "no_key"),
            // Nothing comes after `Bearer`.
            ("empty", Some(String::new()), "no_key"),
            ("wrong", Some("secret".to_owned()), "malformed_key"),
            ("mistyped", Some(mistyped), "malformed_key"),
            ("expired", Some(expired), "expired_key"),
            ("revoked", Some(revoked), "unknown_key"),
        ] {
            let refused = Some(refused);
            world.keys.push(Given { name, key, refused, right: None, tenant: None });
        }
        for (name, prefix) in [("own", "t1:"), ("foreign", "t2:")] {
            let key = Some(world.made(name, &["--rights", "read", "--users-prefix", prefix]));
            let (right, tenant) = (Some("read"), Some(prefix));
            world.keys.push(Given { name, key, refused: None, right, tenant });
        }
        world
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("keys.toml")
    }

    fn command(&self, args: &[&str]) -> String {
        let mut command = Command::new(BOOKEND);
        command.env_clear().arg("key").args(args).arg("--keys").arg(self.file());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn made(&self, id: &str, more: &[&str]) -> String {
        self.command(&[&["new", "--id", id], more].concat()).trim_end().to_owned()
    }

    fn service(&self, data: &str, more: &[&str]) -> Service {
        let keys = self.file();
        let flags = ["--as-of", NOON, "--keys", keys.to_str().unwrap()];
        let data = self.dir.path().join(data);
        Service::begin(serve(&data, &[&flags[..], more].concat()))
    }
}

impl Given {
    /// The status and the code for this key; the code of a success is empty.
    fn expected(&self, call: &Call) -> (u16, &'static str) {
        let needed = match call.access {
            Access::Public => return (call.status, ""),
            Access::Ingest => "ingest",
            Access::ReadAll | Access::ReadUser => "read",
            Access::Operate => "operate",
        };
        match (self.refused, self.tenant) {
            (Some(code), _) => (401, code),
            (None, _) if self.right != Some(needed) => (403, "missing_right"),
            (None, Some("t2:")) => (403, "foreign_user"),
            (None, Some(_)) if call.access == Access::ReadAll => (403, "foreign_user"),
            (None, _) if call.status == 404 => (404, "unknown_session"),
            (None, _) => (call.status, ""),
        }
    }
}

async fn send(client: &Client, base: &str, key: Option<&str>, call: &Call) -> Response {
    let mut request = client.request(call.method.clone(), format!("{base}{}", call.path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = call.body {
        request = request.body(body);
    }
    request.send().await.unwrap()
}

async fn every_call(world: &World, client: &Client, base: &str, through: &str) {
    for call in calls() {
        for given in &world.keys {
            let place = format!("{through}: {} {} with key {}", call.method, call.path, given.name);
            let reply = send(client, base, given.key.as_deref(), &call).await;
            let status = reply.status().as_u16();
            let challenged = reply.headers().contains_key("www-authenticate");
            let body = reply.text().await.unwrap();
            let code =
                if status < 400 { Value::Null } else { serde_json::from_str(&body).unwrap() };
            let code = code["error"]["code"].as_str().unwrap_or_default();
            assert_eq!((status, code), given.expected(&call), "{place}");
            assert_eq!(challenged, status == 401, "{place}");
            // A refusal speaks of nothing that exists.
            let secret = given.key.as_deref().filter(|key| key.len() > 20);
            for told in ["t1:", "t2:"].into_iter().chain(secret) {
                assert!(!matches!(status, 401 | 403) || !body.contains(told), "{place}: {body}");
            }
        }
    }
}

#[test]
fn every_route_is_for_callers_with_its_right_and_for_no_other() {
    let world = World::new();
    let pair = rcgen::generate_simple_self_signed(vec![LOCAL.to_owned()]).unwrap();
    let path = |name: &str| world.dir.path().join(name).display().to_string();
    fs::write(path("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    fs::write(path("tls.crt"), pair.cert.pem()).unwrap();
    let flags = ["--tls-cert", &path("tls.crt"), "--tls-key", &path("tls.key")];
    let (plain, secure) = (world.service("plain", &[]), world.service("secure", &flags));
    let authority = Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap();
    let client = |more: fn(ClientBuilder) -> ClientBuilder| {
        let client = Client::builder().no_proxy().tls_certs_only([authority.clone()]);
        more(client.timeout(PATIENCE)).build().unwrap()
    };
    let clear = format!("http://{LOCAL}:{}", plain.client().0.port());
    let tls = format!("https://{LOCAL}:{}", secure.client().0.port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for base in [&clear, &tls] {
        let (client, readyz) =
            (client(|client| client), call(Method::GET, "/readyz", Access::Public));
        eventually("the service is ready", || {
            let reply = runtime.block_on(send(&client, base, None, &readyz));
            (reply.status() == 200).then_some(())
        });
    }
    runtime.block_on(async {
        every_call(&world, &client(ClientBuilder::http1_only), &clear, "h1").await;
        every_call(&world, &client(ClientBuilder::http2_prior_knowledge), &clear, "h2c").await;
        every_call(&world, &client(ClientBuilder::http1_only), &tls, "h1 and TLS").await;
        every_call(&world, &client(|client| client), &tls, "h2 and TLS").await;
    });
    let metrics = plain.client();
    assert_eq!(metrics.get("/metrics").unwrap().status, 401);
    plain.stop();
    secure.stop();
}

/// A route that is missing in the table above, or there with another right, makes this fail.
#[test]
fn every_route_is_in_the_table_of_the_test_above() {
    let calls = calls();
    let check = |template: &str, access: Access| {
        let is_same = |call: &&Call| {
            let path = call.path.split('?').next().unwrap_or_default();
            let (mut path, mut template) = (path.split('/'), template.split('/'));
            template.all(|segment| {
                path.next().is_some_and(|own| segment.starts_with('{') || own == segment)
            }) && path.next().is_none()
        };
        let found = calls.iter().filter(is_same).any(|call| call.access == access);
        assert!(found || access == Access::Public, "{template} needs {access:?}");
    };
    let at = |route: &Route<_>| check(route.template(), route.access());
    ingest::http::routes().iter().for_each(|route| check(route.template(), route.access()));
    query_api::routes().iter().for_each(|route| check(route.template(), route.access()));
    shared::telemetry::routes().iter().for_each(at);
}

#[test]
fn a_tenant_sends_and_reads_its_own_users_and_learns_of_no_other() {
    let world = World::new();
    let tenant = world.made("tenant", &["--rights", "ingest,read", "--users-prefix", "t3:"]);
    let reader = world.keys[1].key.clone().unwrap();
    let service = world.service("data", &[]);
    eventually("the service is ready", || {
        (service.client().get("/readyz").ok()?.status == 200).then_some(())
    });
    let event =
        |user: &str| json!({"user_id": user, "session_id": "s", "event": "start", "ts": NOON});
    let send = |events: Value| {
        let headers = [("content-type", "application/json"), ("x-api-key", tenant.as_str())];
        let body = serde_json::to_vec(&events).unwrap();
        service.client().post("/v1/events", &headers, &body).unwrap()
    };
    let mixed = send(json!([event("t3:a"), event("t1:u"), {"user_id": "t1:v"}]));
    assert_eq!((mixed.status, mixed.json()["accepted"].as_u64()), (200, Some(1)));
    let codes: Vec<_> = mixed.json()["rejected"].as_array().unwrap().clone();
    assert_eq!(codes.iter().map(|it| it["code"].clone()).collect::<Vec<_>>(), ["foreign_user"; 2]);
    let foreign = send(json!([event("t1:u")]));
    assert_eq!(
        (foreign.status, foreign.json()["error"]["code"].as_str()),
        (400, Some("nothing_usable"))
    );

    let read = |path: &str, key: &str| {
        let headers = [("x-api-key", key)];
        service.client().send("GET", path, &headers, b"").unwrap()
    };
    eventually("its session is answered", || {
        let reply = read("/v1/users/t3:a/sessions/s", &tenant);
        (reply.status == 200).then_some(())
    });
    assert_eq!(read("/v1/users/t1:u/sessions/s", &reader).status, 404, "a foreign event was kept");
    assert_eq!(read("/v1/users/t3:a/sessions/other", &tenant).status, 404);
    assert_eq!(read("/v1/users/%00/sessions", &tenant).status, 400);
    assert_eq!(read("/v1/sessions", &tenant).status, 400);
    // The reply is the same for a user who exists and for one who does not.
    let known = read("/v1/users/t1:u/sessions", &tenant);
    let unknown = read("/v1/users/t9:nobody/sessions", &tenant);
    assert_eq!((known.status, unknown.status), (403, 403));
    assert_eq!(known.text(), unknown.text());
    service.stop();
}

#[test]
fn the_port_for_operators_has_metrics_and_probes_and_the_main_one_does_not() {
    let world = World::new();
    let address = free();
    let service = world.service("data", &["--operations-listen", &address.to_string()]);
    let operations = crate::client::Client(address);
    eventually("it is ready", || (operations.get("/readyz").ok()?.status == 200).then_some(()));
    let operate = world.keys[2].key.clone().unwrap();
    let main = service.client();
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(main.get(path).unwrap().status, 404, "{path}");
    }
    assert_eq!(operations.get("/livez").unwrap().status, 200);
    assert_eq!(operations.get("/metrics").unwrap().status, 401);
    let headers = [("x-api-key", operate.as_str())];
    assert_eq!(operations.send("GET", "/metrics", &headers, b"").unwrap().status, 200);
    for path in ["/", "/dashboard", "/openapi.json", "/v1/session-starts?days=1"] {
        assert_eq!(operations.get(path).unwrap().status, 404, "{path}");
    }
    assert_eq!(main.get("/openapi.json").unwrap().status, 200);
    service.stop();
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn refused(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BOOKEND);
    command.env_clear().current_dir(dir).args(args).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn a_service_that_other_machines_reach_needs_keys_or_to_be_open() {
    let world = World::new();
    let dir = world.dir.path();
    for command in ["serve", "demo"] {
        let output = refused(dir, &[command, "--listen", "0.0.0.0:0"]);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        for way in ["bookend key new", "--keys", "--access open"] {
            assert!(said(&output).contains(way), "{}", said(&output));
        }
    }
    let both = ["serve", "--keys", "keys.toml", "--access", "open"];
    let output = refused(dir, &both);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("--access: \"open\" is not valid"), "{}", said(&output));
    fs::write(dir.join("broken.toml"), "[[key]]\nid = \"web\"\nrights = [\"raed\"]\n").unwrap();
    let output = refused(dir, &["serve", "--keys", "broken.toml", "--max-body", "none"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    for mistake in ["`sha256` of web is missing", "`rights` of web is not valid", "--max-body"] {
        assert!(said(&output).contains(mistake), "{}", said(&output));
    }
    // The commands that serve nothing do not care.
    let output = refused(dir, &["verify", "--listen", "0.0.0.0:0", "--data-dir", "none"]);
    assert!(!said(&output).contains("--access"), "{}", said(&output));
}
