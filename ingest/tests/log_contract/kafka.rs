//! A topic of its own on a real Kafka, for the contract.

use std::sync::atomic::{AtomicU32, Ordering};

use ingest::log::{
    KafkaLog, Log,
    kafka::{KafkaLogOptions, setup},
};
use shared::clock::Clock;

use crate::{Backend, stack::Stack};

const PARTITIONS: i32 = 6;

/// A topic, its dead letters, and a group.
pub(crate) struct Topic(KafkaLogOptions);

impl Backend for Topic {
    async fn fresh() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // The stack outlives this process, so a name must not repeat an earlier one.
        let name =
            format!("contract-{}-{}-{number}", Clock::machine().now().millis(), std::process::id());
        let brokers =
            tokio::task::spawn_blocking(|| Stack::shared_plain().kafka_brokers().to_owned())
                .await
                .unwrap();
        let options = KafkaLogOptions {
            brokers,
            topic: name.clone(),
            group: name,
            ..KafkaLogOptions::default()
        };
        setup(&options, PARTITIONS, 1).await.unwrap();
        Self(options)
    }

    async fn open(&self) -> Log {
        Log::Kafka(KafkaLog::open(self.0.clone(), self.clock()).await.unwrap())
    }

    fn partitions(&self) -> u32 {
        PARTITIONS.unsigned_abs()
    }

    fn clock(&self) -> Clock {
        Clock::machine()
    }
}
