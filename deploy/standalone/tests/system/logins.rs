//! The program on servers that require passwords and TLS, and its errors if they refuse it.

use std::process::{Command, Output};

use crate::{
    client::LINES,
    data::{ENDING_AT, generate, joined},
    model::Model,
    questions::compare,
    reading::{events, instant_of},
    service::{BOOKEND, Service, serve},
    stack::Stack,
};

#[cfg(test)]
mod rights;

/// The command `name` with the servers and the login in variables; `more` are its last flags.
fn command(name: &str, stack: &Stack, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BOOKEND);
    command.env_clear().arg(name);
    configured(command, stack, more)
}

fn configured(mut command: Command, stack: &Stack, more: &[(&str, &str)]) -> Command {
    let backends = [("BOOKEND_LOG", "kafka"), ("BOOKEND_STORE", "cassandra")];
    let copies = [("BOOKEND_KAFKA_REPLICATION", "1"), ("BOOKEND_CASSANDRA_REPLICATION", "1")];
    command.envs(stack.settings()).envs(backends).envs(copies).envs(more.iter().copied());
    command
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).to_lowercase()
}

#[test]
fn the_whole_program_works_over_tls_with_passwords_and_says_which_of_them_is_wrong() {
    let stack = Stack::own(1, true);
    let made = command("setup", &stack, &[]).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let data = tempfile::tempdir().unwrap();
    let service =
        Service::run(configured(serve(data.path(), &["--as-of", ENDING_AT]), &stack, &[]));
    let lines = generate("hostile", 500, 71);
    let events = events(&lines, instant_of(ENDING_AT));
    for batch in lines.chunks(200) {
        let reply = service.client().post("/v1/events", &[LINES], &joined(batch)).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    service.wait_until_answered(events.len());
    compare(service.client(), &Model::new(&events));
    service.stop();

    let foreign = data.path().join("foreign.pem");
    let selfmade = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=foreign",
    ];
    let mut openssl = Command::new("openssl");
    openssl
        .args(selfmade)
        .arg("-keyout")
        .arg(data.path().join("foreign.key"))
        .arg("-out")
        .arg(&foreign);
    assert!(openssl.output().unwrap().status.success());
    let foreign = foreign.display().to_string();
    let wrong = [
        ("BOOKEND_KAFKA_PASSWORD", "wrong", "kafka", "authentication"),
        ("BOOKEND_KAFKA_CA_FILE", &foreign, "kafka", "certificate"),
        ("BOOKEND_CASSANDRA_PASSWORD", "wrong", "cassandra", "password"),
        ("BOOKEND_CASSANDRA_CA_FILE", &foreign, "cassandra", "certificate"),
    ];
    for (variable, value, whose, what) in wrong {
        let refused = command("setup", &stack, &[(variable, value)]).output().unwrap();
        let said = said(&refused);
        assert!(
            !refused.status.success() && said.contains(whose) && said.contains(what),
            "{variable}: {said}"
        );
    }
}
