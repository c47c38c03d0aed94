//! A data directory whose store was deleted: the log is replayed into a new one.

use crate::{
    client::LINES,
    command_line::{bookend, said},
    data::{ENDING_AT, generate, joined},
    service::{Service, eventually, serve},
};

#[test]
fn a_service_is_not_ready_and_says_how_far_it_is_until_its_log_is_replayed() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let lines = generate("clean", 20_000, 1);
    for batch in lines.chunks(1_000) {
        let reply = service.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    service.wait_until_answered(lines.len());
    service.stop();
    std::fs::remove_dir_all(data.path().join("store")).unwrap();

    let service = Service::begin(serve(data.path(), &["--as-of", ENDING_AT]));
    let mut waited_for_replay = false;
    eventually("the log is replayed", || {
        let reply = service.client().get("/readyz").unwrap();
        if reply.status == 200 {
            return Some(());
        }
        let text = reply.text();
        let is_replaying = text.contains("the log is being replayed into the store: ");
        assert!(is_replaying && text.contains(" records left"), "{text}");
        waited_for_replay = true;
        None
    });
    assert!(waited_for_replay, "it was ready at once");
    eventually("the end of the replay is logged", || {
        service.said().contains("the log is replayed into the store").then_some(())
    });
    assert!(service.said().contains("replaying the log into the store"), "{}", service.said());
    service.stop();

    let dir = data.path().to_str().unwrap();
    let output = bookend(&["verify", "--as-of", ENDING_AT, "--data-dir", dir]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
