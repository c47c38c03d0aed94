//! Statements of an operator, by the native protocol of Cassandra.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

use crate::stack::Stack;

/// A connection to a Cassandra node by its native protocol, version 4.
pub(crate) struct Cql(TcpStream);

impl Cql {
    pub(crate) fn connect(node: &str) -> Self {
        let mut cql = Self(TcpStream::connect(node).unwrap());
        let map = [&[0, 1], text("CQL_VERSION").as_slice(), &text("3.0.0")].concat();
        cql.send(1, &map);
        cql
    }

    pub(crate) fn execute(&mut self, statement: &str) {
        let length = i32::try_from(statement.len()).unwrap().to_be_bytes();
        // Consistency ONE, no flags.
        self.send(7, &[&length[..], statement.as_bytes(), &[0, 1, 0]].concat());
    }

    fn send(&mut self, opcode: u8, body: &[u8]) {
        let length = i32::try_from(body.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&[4, 0, 0, 0, opcode][..], &length, body].concat()).unwrap();
        let mut head = [0; 9];
        self.0.read_exact(&mut head).unwrap();
        let length = i32::from_be_bytes(head[5..].try_into().unwrap());
        let mut reply = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut reply).unwrap();
        assert_ne!(head[4], 0, "{}", String::from_utf8_lossy(&reply));
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// The value of the flag `name`.
pub(crate) fn flag<'a>(flags: &'a [String], name: &str) -> &'a str {
    &flags[flags.iter().position(|flag| flag == name).unwrap() + 1]
}

/// Executes CQL as the superuser of a stack.
pub(crate) fn as_superuser(stack: &Stack, statements: &[impl AsRef<OsStr>]) {
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack");
    let program = "\
import sys
from pathlib import Path
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from launcher import cql_wire
from launcher.plan import USER, Plan
plan = Plan.load(Path(sys.argv[2]))
with cql_wire.Connection(plan, 1, USER, plan.password) as session:
    for statement in sys.argv[3:]:
        session.query(statement)
";
    let mut python = Command::new("python3");
    let done =
        python.args(["-c", program]).args([&launcher, stack.dir()]).args(statements).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
