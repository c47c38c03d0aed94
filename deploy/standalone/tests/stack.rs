//! `deploy/stack` starts real servers, restarts a killed one, and stops all of them at the end.
//!
//! Sends the first request of each protocol byte by byte, so that only a real server can reply.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use test_support::stack::{Node, Service, Stack};

/// ApiVersions, version 0, request 7, no client name: the length, then the header.
const KAFKA_ASKS: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff";
/// OPTIONS of protocol 4, stream 7.
const CQL_ASKS: &[u8] = b"\x04\0\0\x07\x05\0\0\0\0";

/// Returns the first bytes of the reply of `address` to `request`.
fn answer(address: &str, request: &[u8]) -> io::Result<[u8; 10]> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(request)?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).map(|()| answer)
}

/// Whether a broker replies: our correlation id after the length, and no error.
fn kafka_serves(address: &str) -> bool {
    answer(address, KAFKA_ASKS).is_ok_and(|answer| answer[4..] == [0, 0, 0, 7, 0, 0])
}

/// Whether a node replies: SUPPORTED of protocol 4 on our stream.
fn cassandra_serves(address: &str) -> bool {
    answer(address, CQL_ASKS).is_ok_and(|answer| answer[..5] == [0x84, 0, 0, 7, 6])
}

#[test]
fn the_shared_stack_serves_and_is_one() {
    let shared = Stack::shared_plain();
    assert!(kafka_serves(shared.kafka_brokers()));
    assert!(cassandra_serves(shared.cassandra_nodes()));
    assert!(std::ptr::eq(shared, Stack::shared_plain()));
}

#[test]
fn a_stack_survives_its_servers_and_leaves_nothing_when_it_is_dropped() {
    let own = Stack::own(1, false);
    let (kafka, cassandra) = (own.kafka_brokers().to_owned(), own.cassandra_nodes().to_owned());
    assert_ne!(kafka, Stack::shared_plain().kafka_brokers());

    own.stop(Node::Kafka(1));
    assert!(!kafka_serves(&kafka));
    own.cont(Node::Kafka(1));
    assert!(kafka_serves(&kafka));

    own.kill(Node::Cassandra(1));
    assert!(!cassandra_serves(&cassandra));
    own.start_again(Node::Cassandra(1));
    assert!(cassandra_serves(&cassandra));

    let dir = own.dir().to_owned();
    drop(own);
    assert!(TcpStream::connect(kafka).is_err());
    assert!(TcpStream::connect(cassandra).is_err());
    assert!(!dir.exists());
}

#[test]
fn the_ports_of_a_stopped_server_stay_with_its_stack() {
    let stopped = Stack::own_only(Service::Kafka, 1, false);
    stopped.kill(Node::Kafka(1));
    let other = Stack::own_only(Service::Kafka, 1, false);
    assert_ne!(stopped.kafka_brokers(), other.kafka_brokers());
    stopped.start_again(Node::Kafka(1));
    assert!(kafka_serves(stopped.kafka_brokers()));
}

#[test]
fn with_tls_a_plain_client_gets_no_answer() {
    let own = Stack::own_only(Service::Cassandra, 1, true);
    assert_eq!(own.setting("BOOKEND_CASSANDRA_USERNAME"), "app");
    assert!(TcpStream::connect(own.cassandra_nodes()).is_ok());
    assert!(!cassandra_serves(own.cassandra_nodes()));
}
