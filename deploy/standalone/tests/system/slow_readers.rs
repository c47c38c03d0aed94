//! Clients that request large replies and read nothing.

use std::{io::Write, net::TcpStream};

use crate::{
    client::LINES,
    data::{ENDING_AT, generate, joined},
    service::{Service, eventually},
};

const CLIENTS: usize = 4;
/// So many starts that a reply exceeds the socket buffers of both sides.
const QUESTIONS: usize = 100;
const UNCUT: &str = "/user/last-events?days=60";

#[test]
fn clients_that_read_nothing_of_their_answers_are_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), &["--as-of", ENDING_AT, "--write-timeout", "2s"]);
    let (client, lines) = (service.client(), generate("clean", 2_000, 51));
    for batch in lines.chunks(1_000) {
        assert_eq!(client.post("/v1/events", &[LINES], &joined(batch)).unwrap().status, 200);
    }
    service.wait_until_answered(lines.len());
    let whole = client.get(UNCUT).unwrap();
    assert_eq!(whole.status, 200);

    let question = format!("GET {UNCUT} HTTP/1.1\r\nhost: a\r\n\r\n").repeat(QUESTIONS);
    let mut silent: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = client.connect().unwrap();
            stream.write_all(question.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &mut silent {
        // A write to a connection that the service has closed fails eventually.
        eventually("a client that reads nothing is cut off", || stream.write_all(b"x").err());
    }
    assert_eq!(client.get(UNCUT).unwrap().body, whole.body);
    service.stop();
}
