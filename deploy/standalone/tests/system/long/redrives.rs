//! Redrives that are killed at random moments, two at a time: each letter is put back once.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use ingest::log::{DeadLetter, DeadLetterCode, KafkaLog, Log, Record, kafka::KafkaLogOptions};
use serde_json::Value;
use shared::clock::Clock;

use crate::{
    backends::Backends,
    command_line::said,
    data::Chance,
    service::{BOOKEND, pause},
};

const LETTERS: i64 = 4_000;
const ROUNDS: usize = 20;

fn redrive(flags: &[String]) -> Child {
    let mut command = Command::new(BOOKEND);
    command.env_clear().args(["redrive", "--json"]).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn redrives_killed_at_random_moments_and_two_at_once_put_each_letter_back_once() {
    let data = tempfile::tempdir().unwrap();
    let flags = Backends::KafkaAndCassandra.flags(data.path());
    let made = Command::new(BOOKEND).env_clear().arg("setup").args(&flags).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let flag = |name: &str| flags[flags.iter().position(|flag| flag == name).unwrap() + 1].clone();
    let options = KafkaLogOptions {
        brokers: flag("--kafka-brokers"),
        topic: flag("--kafka-topic"),
        group: flag("--kafka-group"),
        ..KafkaLogOptions::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = runtime.block_on(async {
        let log = Log::Kafka(KafkaLog::open(options, Clock::machine()).await.unwrap());
        let letter = |offset: i64| {
            let value = Some(format!("{offset:>9000}").into());
            let record = Record { offset, value, ..Record::default() };
            DeadLetter { code: DeadLetterCode::Panicked, record }
        };
        log.dead_letter((0..LETTERS).map(letter).collect()).await.unwrap();
        log
    });

    let (mut chance, mut killed) = (Chance::new(81), 0);
    for _ in 0..ROUNDS {
        let mut both = [redrive(&flags), redrive(&flags)];
        for one in &mut both {
            pause(Duration::from_millis(chance.below(1_500) as u64));
            killed += usize::from(one.try_wait().unwrap().is_none());
            one.kill().ok();
            one.wait().unwrap();
        }
    }
    eprintln!("{killed} of {} redrives were killed before their end", 2 * ROUNDS);
    let last = redrive(&flags).wait_with_output().unwrap();
    assert!(last.status.success(), "{}", said(&last));
    eprintln!("the last one: {}", serde_json::from_slice::<Value>(&last.stdout).unwrap());

    let mut values = runtime.block_on(async {
        let (mut cursor, mut values) = (log.cursor(), Vec::new());
        loop {
            let records = log.read(&mut cursor, 1 << 20).await.unwrap();
            if records.is_empty() {
                return values;
            }
            values.extend(records.into_iter().map(|record| record.value.unwrap()));
        }
    });
    let all = values.len();
    values.sort();
    values.dedup();
    assert_eq!((all as i64, values.len() as i64), (LETTERS, LETTERS));
}
