//! The API key and TLS: who receives the key, and which servers are trusted.

use shared::config::{Mistakes, Secret};
use test_support::origin::{Authority, Origin};

use super::*;
use crate::client::ClientOptions;

const KEY: &str = "bk_loader_secret";

/// The options for the server `url`, with a key and the trusted CA.
fn options_for(url: &str, tls_ca: Option<PathBuf>) -> LoadOptions {
    let client = ClientOptions { tls_ca, key: Some(Secret::new(KEY)) };
    LoadOptions { client, ..options(url) }
}

/// Whether `request` has the key, in the only header that is meant for it.
fn has_key(request: &str) -> bool {
    request.contains(&format!("\r\nauthorization: bearer {KEY}\r\n"))
}

#[tokio::test]
async fn the_key_is_sent_over_tls_to_a_server_whose_authority_is_trusted() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = directory.path().join("ca.pem");
    authority.write(&file);
    let origin = Origin::start(Some(&authority), "200 OK", &accepted(3)).await;
    let summary = load(lines(0..3), &options_for(&origin.url(), Some(file))).await;
    assert_eq!((summary.accepted, summary.retries, summary.failure), (3, 0, None));
    let requests = origin.requests();
    assert!(requests.len() == 1 && has_key(&requests[0]), "{requests:?}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_no_request_and_ends_the_load_at_once() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let other = directory.path().join("ca.pem");
    Authority::new().write(&other);
    let origin = Origin::start(Some(&authority), "200 OK", &accepted(3)).await;
    let summary = load(lines(0..3), &options_for(&origin.url(), Some(other))).await;
    assert_eq!((summary.undelivered, summary.retries), (3, 0));
    let failure = summary.failure.unwrap();
    assert!(failure.contains("certificate") && failure.contains(&origin.url()), "{failure}");
    assert_eq!(origin.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redirect_is_an_error_that_names_its_target_which_gets_no_request() {
    let target = Origin::start(None, "200 OK", &accepted(3)).await;
    for status in ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let head = format!("{status}\r\nlocation: {}/v1/events", target.url());
        let origin = Origin::start(None, &head, "").await;
        let summary = load(lines(0..3), &options_for(&origin.url(), None)).await;
        assert_eq!((summary.undelivered, summary.retries), (3, 0), "{status}");
        let failure = summary.failure.unwrap();
        assert!(failure.contains(&format!("redirects to {}", target.url())), "{failure}");
        assert!(!failure.contains(KEY), "{failure}");
        assert!(has_key(&origin.requests()[0]), "the service itself gets the key");
    }
    assert_eq!(target.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn who_needs_a_key_and_has_none_is_told_where_it_comes_from() {
    let service = Service::start([answer(401, "")]).await;
    let failure = load(lines(0..3), &service.options()).await.failure.unwrap();
    assert!(failure.ends_with("; set BOOKEND_API_KEY or BOOKEND_API_KEY_FILE"), "{failure}");
}

#[tokio::test]
async fn a_refused_key_ends_the_load_at_once_with_the_message_of_the_service() {
    for (status, code) in [(401, "unknown_key"), (403, "missing_right")] {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"why, in words"}}}}"#);
        let service = Service::start([answer(status, &body), answer(status, &body)]).await;
        let summary = load(lines(0..3), &options_for(&service.url, None)).await;
        assert_eq!((summary.undelivered, summary.retries), (3, 0));
        let failure = summary.failure.unwrap();
        assert!(failure.contains(&format!("returned {status}")), "{failure}");
        assert!(failure.ends_with(": why, in words"), "{failure}");
    }
}

/// The mistake of which a load ends before it begins.
async fn mistake_of(options: &LoadOptions) -> String {
    let failed = load_lines(lines(0..1), options, &ProgressBar::hidden()).await;
    failed.unwrap_err().downcast::<Mistakes>().unwrap().to_string()
}

#[tokio::test]
async fn a_file_or_a_key_that_cannot_be_used_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("ca.pem");
    fs::write(&empty, "no certificate").unwrap();
    let missing = directory.path().join("missing.pem");
    for (url, file, said) in [
        ("https://127.0.0.1:1", empty.clone(), "no PEM certificate"),
        ("https://127.0.0.1:1", missing, "missing.pem"),
    ] {
        let mistake = mistake_of(&options_for(url, Some(file))).await;
        assert!(mistake.starts_with("--tls-ca") && mistake.contains(said), "{mistake}");
    }
    let client = ClientOptions { tls_ca: None, key: Some(Secret::new("bk_a\nb")) };
    let options = LoadOptions { client, ..options("http://127.0.0.1:1") };
    let mistake = mistake_of(&options).await;
    assert!(mistake.starts_with("BOOKEND_API_KEY: ") && !mistake.contains("bk_a"), "{mistake}");
}

#[tokio::test]
async fn certificates_for_a_service_without_tls_are_a_mistake() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = directory.path().join("ca.pem");
    authority.write(&file);
    let options = options_for("http://127.0.0.1:1", Some(file));
    let mistake = mistake_of(&options).await;
    assert!(mistake.starts_with("--tls-ca is only for https"), "{mistake}");
}
