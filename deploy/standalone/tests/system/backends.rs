//! The backends of the tests: each test of the program runs on the embedded ones and on real
//! servers.

use std::{path::Path, process::Command};

use crate::{
    service::{BOOKEND, Service, serve},
    stack::Stack,
};

/// The backends of the log and the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backends {
    Embedded,
    KafkaAndCassandra,
    /// Kafka with the embedded store.
    Kafka,
    /// Cassandra with the embedded log.
    Cassandra,
}

/// Runs each named test on each of the named backends: `test(backends)`.
macro_rules! on {
    ($($module:ident: $backends:ident),+ => $tests:tt) => {
        $(crate::backends::on!(@ $module $backends $tests);)+
    };
    (@ $module:ident $backends:ident [$($test:ident),+ $(,)?]) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test(crate::backends::Backends::$backends);
                }
            )+
        }
    };
    ([$($test:ident),+ $(,)?]) => {
        crate::backends::on!(embedded: Embedded, on_kafka_and_cassandra: KafkaAndCassandra => [$($test),+]);
    };
}
pub(crate) use on;

impl Backends {
    /// The command of the program over `data` with the flags `more`. A topic and a keyspace belong
    /// to the directory, like its files.
    pub(crate) fn start(self, data: &Path, more: &[&str]) -> Service {
        let flags = self.flags(data);
        if !matches!(self, Self::Embedded) {
            let mut setup = Command::new(BOOKEND);
            setup
                .env_clear()
                .arg("setup")
                .args(&flags)
                .args(["--data-dir", &data.display().to_string()]);
            let done = setup.args(more).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        let mut command = serve(data, more);
        command.args(flags);
        Service::run(command)
    }

    /// The flags that select the backends.
    pub(crate) fn flags(self, data: &Path) -> Vec<String> {
        // A name that is valid in Kafka and in Cassandra.
        let name = data.file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("t{}_{}", std::process::id(), name.trim_start_matches(".tmp"));
        let kafka = || {
            let brokers = Stack::shared_plain().kafka_brokers();
            let settings = [
                ("log", "kafka"),
                ("kafka-brokers", brokers),
                ("kafka-topic", &name),
                ("kafka-group", &name),
            ];
            let session = [("kafka-replication", "1"), ("kafka-session-timeout", "6s")];
            flags(settings.into_iter().chain(session))
        };
        let cassandra = || {
            let nodes = Stack::shared_plain().cassandra_nodes();
            let nodes = nodes.split(',').map(|node| ("cassandra-nodes", node));
            let settings = [
                ("store", "cassandra"),
                ("cassandra-keyspace", &name),
                ("cassandra-replication", "1"),
            ];
            flags(nodes.chain(settings))
        };
        match self {
            Self::Embedded => Vec::new(),
            Self::KafkaAndCassandra => [kafka(), cassandra()].concat(),
            Self::Kafka => kafka(),
            Self::Cassandra => cassandra(),
        }
    }
}

fn flags<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    settings.flat_map(|(name, value)| [format!("--{name}"), value.to_owned()]).collect()
}
