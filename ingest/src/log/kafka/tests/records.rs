//! Records written by other programs.

use shared::{
    event::RejectionCode,
    timestamp::{HOUR, MINUTE, Timestamp},
};

use super::*;
use crate::log::{DeadLetter, DeadLetterCode, Header, Position, Redriven};

fn header(name: &str, value: &'static [u8]) -> Header {
    Header { name: name.to_owned(), value: Some(Bytes::from_static(value)) }
}

fn outgoing(value: &'static [u8], headers: Vec<Header>) -> Outgoing {
    Outgoing {
        key: Some(Bytes::from_static(b"u")),
        value: Some(Bytes::from_static(value)),
        headers,
        ..Outgoing::default()
    }
}

/// Commits all of the records.
async fn commit(log: &Log, records: &[Record]) {
    log.commit(offsets_after(records)).await.unwrap();
}

#[tokio::test]
async fn a_record_without_key_or_value_comes_as_it_is() {
    let options = fresh(2).await;
    let log = open(&options).await;
    append_as_other(&options, Outgoing::default(), None).await;
    let polled = poll(&log, 1).await;
    assert_eq!((&polled[0].key, &polled[0].value), (&None, &None));
    commit(&log, &polled).await;
    assert_eq!(log.positions()[&polled[0].partition].committed, 1);
}

/// The letters that no redrive has handled.
async fn waiting_letters(options: &KafkaLogOptions) -> Vec<Record> {
    let (topic, group) = (options.letters_topic(), options.redrive_group());
    let letters = TopicSource::new(options, &topic, &group, Clock::machine());
    let reading = tokio::task::spawn_blocking(move || {
        let (mut reader, handled) = letters.read_from_handled()?;
        let read = reader.read(usize::MAX)?;
        Ok::<_, KafkaError>(read.into_iter().filter(|one| !handled.has(one)).collect())
    });
    reading.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_dead_letter_keeps_key_value_and_headers_and_says_why() {
    let options = fresh(1).await;
    let log = open(&options).await;
    let theirs = vec![
        header("trace", b"\xff\x00"),
        Header { name: "trace".to_owned(), value: None },
        header("bookend.error.code", b"forged"),
    ];
    append_as_other(&options, Outgoing { key: None, ..outgoing(b"junk", theirs.clone()) }, None)
        .await;
    let record = poll(&log, 1).await.remove(0);
    assert_eq!((&record.key, &record.headers), (&None, &theirs));
    log.dead_letter(vec![DeadLetter { code: DeadLetterCode::Panicked, record: record.clone() }])
        .await
        .unwrap();
    let letter = waiting_letters(&options).await;
    assert_eq!((&letter[0].key, &letter[0].value), (&None, &record.value));
    let headers: Vec<_> = letter[0].headers[3..]
        .iter()
        .map(|header| {
            (header.name.as_str(), std::str::from_utf8(header.value.as_ref().unwrap()).unwrap())
        })
        .collect();
    let (time, id) = (record.append_time.to_string(), record.topic.to_string());
    let expected = [
        ("bookend.error.code", "panicked"),
        ("bookend.error.topic", &options.topic),
        ("bookend.error.partition", "0"),
        ("bookend.error.offset", "0"),
        ("bookend.error.append_time", &time),
        ("bookend.error.topic_id", &id),
    ];
    assert_eq!(headers, expected);
    let done = log.redrive(|code| code == DeadLetterCode::Panicked, |_| {}).await.unwrap();
    assert_eq!(done, Redriven { looked_at: 1, appended: 1, repeated: 0 });
    let again = poll(&log, 1).await.remove(0);
    // A redrive drops headers with our prefix.
    let kept = Record { offset: 1, headers: theirs[..2].to_vec(), ..record };
    assert_eq!(again, kept);
}

#[tokio::test]
async fn a_producer_can_make_its_append_time_earlier_and_never_later() {
    let options = fresh(1).await;
    let log = open(&options).await;
    append_as_other(
        &options,
        outgoing(b"1", vec![header(record::APPEND_TIME, b"2019-05-13T12:00:00.001Z")]),
        None,
    )
    .await;
    append_as_other(
        &options,
        outgoing(b"2", vec![header(record::APPEND_TIME, b"2999-01-01T00:00:00Z")]),
        None,
    )
    .await;
    append_as_other(&options, outgoing(b"3", vec![header(record::APPEND_TIME, b"\xff")]), None)
        .await;
    let polled = poll(&log, 3).await;
    assert_eq!(Some(polled[0].append_time), Timestamp::parse("2019-05-13T12:00:00.001Z"));
    let now = Clock::machine().now();
    for record in &polled[1..] {
        assert!((now - MINUTE..=now + MINUTE).contains(&record.append_time));
        assert_eq!(record.headers, []);
    }
}

#[tokio::test]
async fn a_producer_s_own_time_proves_nothing_and_the_reader_s_clock_stands_in_for_it() {
    let options = absent().await;
    // The brokers do not create topics on demand, so the test creates them like another program
    // would.
    let admin: rdkafka::admin::AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap();
    for name in [options.topic.clone(), options.letters_topic()] {
        let topic =
            rdkafka::admin::NewTopic::new(&name, 1, rdkafka::admin::TopicReplication::Fixed(1));
        admin.create_topics([&topic], &rdkafka::admin::AdminOptions::new()).await.unwrap()[0]
            .clone()
            .unwrap();
    }
    let report = setup(&options, 3, 1).await.unwrap().lines;
    assert!(
        report.iter().any(|line| line.contains("message.timestamp.type=CreateTime")),
        "{report:?}"
    );
    assert!(report.iter().any(|line| line.contains("should have 3 partitions")), "{report:?}");
    let log = open(&options).await;
    let begin = Clock::machine().now();
    let (seconds, ahead) = (begin.millis() / 1_000, begin.millis() + HOUR / 2);
    for stamp in [seconds, 1, ahead] {
        append_as_other(&options, outgoing(b"1", Vec::new()), Some(stamp)).await;
    }
    let accepted = NewRecord { latest_ts: Some(begin + 2 * HOUR), ..record("u", "2") };
    log.append(vec![accepted]).await.unwrap();
    let polled = poll(&log, 4).await;
    let read = begin..=Clock::machine().now();
    for record in &polled {
        assert!(record.unstamped && read.contains(&record.append_time), "{record:?}");
    }
    assert_eq!(polled[3].latest_ts, Some(polled[3].append_time + HOUR));
}

#[tokio::test]
async fn a_record_says_what_its_endpoint_accepted_for_an_hour_after_its_append_time_at_most() {
    let options = fresh(1).await;
    let log = open(&options).await;
    let now = Clock::machine().now();
    let accepted = |latest_ts| NewRecord { latest_ts, ..record("u", "1") };
    let records = [None, Some(now + 7 * MINUTE), Some(now - MINUTE), Some(now + 3 * HOUR)];
    // The last header counts only in part, so no endpoint replies 200 for this append.
    log.append(records.map(accepted).to_vec()).await.unwrap_err();
    let forged = |text| outgoing(b"2", vec![header(record::LATEST_TS, text)]);
    for text in [&b"\xff"[..], b"9999-12-31T23:59:59.999Z", b"soon"] {
        append_as_other(&options, forged(text), None).await;
    }
    let polled = poll(&log, 7).await;
    let hour_later = |record: &Record| Some(record.append_time + HOUR);
    let found: Vec<_> = polled.iter().map(|record| record.latest_ts).collect();
    let expected = [&records[..3], &[hour_later(&polled[3]), None, hour_later(&polled[5]), None]];
    assert_eq!(found, expected.concat());
    for record in &polled {
        assert_eq!((&record.headers[..], record.unstamped), (&[][..], false));
    }
}

/// An endpoint whose clock is ahead of the brokers' by too much learns it from the append times
/// before it replies.
#[tokio::test]
async fn an_append_whose_header_would_not_count_in_full_fails() {
    let options = fresh(1).await;
    let log = open(&options).await;
    let now = Clock::machine().now();
    let accepted = |latest| vec![NewRecord { latest_ts: Some(latest), ..record("u", "1") }];
    log.append(accepted(now + HOUR - MINUTE)).await.unwrap();
    let refused = log.append(accepted(now + HOUR + MINUTE)).await.unwrap_err().to_string();
    assert!(refused.contains("synchronise this machine's clock"), "{refused}");
    // A record with its append time in a header is judged by that one.
    let stamped = |record| NewRecord { append_time: Some(now), ..record };
    let stamped = accepted(now + 3 * HOUR).into_iter().map(stamped).collect();
    log.append(stamped).await.unwrap();

    assert!(log.check_latest_ts(now + HOUR - MINUTE).is_ok());
    assert!(log.check_latest_ts(now + HOUR + MINUTE).is_err());
    let Log::Kafka(kafka) = &log else { unreachable!() };
    let measured = kafka.producer().skew().worst().unwrap();
    assert!(measured.least <= 0 && measured.most > 0, "of this machine: {measured:?}");
}

#[tokio::test]
async fn a_consumer_sees_that_the_brokers_clock_is_ahead() {
    let log = open(&fresh(1).await).await;
    let append_time = Clock::machine().now() + 10 * MINUTE;
    let record = |unstamped| Record { append_time, unstamped, ..Record::default() };
    let Log::Kafka(kafka) = &log else { unreachable!() };
    let skew = kafka.producer().skew();
    log.polled(&[record(true)]);
    assert_eq!(skew.worst(), None, "the time of a producer shows nothing");
    log.polled(&[record(false), Record::default()]);
    assert!(skew.least().unwrap() > 9 * MINUTE);
    // An endpoint that knows the brokers to be ahead may accept more.
    assert!(log.check_latest_ts(append_time + HOUR - MINUTE).is_ok());
}

/// Old consumers rejected what an endpoint had accepted, and a redriven letter must not be rejected
/// again by the time of its first append.
#[tokio::test]
async fn a_redriven_letter_of_the_future_is_judged_anew_and_the_others_as_at_first() {
    let options = fresh(1).await;
    let log = open(&options).await;
    let now = Clock::machine().now();
    let (then, latest_ts) = (now - HOUR, Some(now - MINUTE));
    let letter = |offset, code, value| DeadLetter {
        code,
        record: Record {
            offset,
            key: Some(Bytes::from_static(b"u")),
            value: Some(Bytes::from_static(value)),
            append_time: then,
            latest_ts,
            ..Record::default()
        },
    };
    let future = DeadLetterCode::Rejected(RejectionCode::Future);
    let contested = letter(1, DeadLetterCode::Contested, b"contested");
    let letters = vec![letter(0, future, b"future"), contested];
    log.dead_letter(letters).await.unwrap();
    assert_eq!(log.redrive(|code| code == future, |_| {}).await.unwrap().appended, 1);
    assert_eq!(log.redrive(|_| true, |_| {}).await.unwrap().appended, 1);
    let polled = poll(&log, 2).await;
    assert!((now..=now + MINUTE).contains(&polled[0].append_time), "{:?}", polled[0]);
    assert_eq!(polled[1].append_time, then);
    assert_eq!([polled[0].latest_ts, polled[1].latest_ts], [latest_ts; 2]);
}

#[tokio::test]
async fn a_clock_that_was_set_stamps_what_is_appended() {
    let options = fresh(1).await;
    let then = Timestamp::parse("2019-05-13T12:00:00Z").unwrap();
    let log = KafkaLog::open(options, Clock::starting_at(then)).await.unwrap();
    let log = Log::Kafka(log);
    log.append(records("r", 1)).await.unwrap();
    let polled = poll(&log, 1).await;
    assert!((then..then + MINUTE).contains(&polled[0].append_time));
}

#[tokio::test]
async fn a_letter_that_is_too_large_is_cut_and_says_so_and_is_not_redriven() {
    let options = fresh(1).await;
    let log = open(&options).await;
    // Incompressible, and longer than the limit of the dead letters' topic.
    let mut state = 1_u64;
    let value: Vec<u8> = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(3 << 20)
    .collect();
    let headers = vec![header("trace", b"1")];
    let record = Record {
        key: Some(Bytes::from_static(b"u")),
        value: Some(value.clone().into()),
        headers,
        append_time: Clock::machine().now(),
        ..Record::default()
    };
    let huge = Record {
        offset: 1,
        headers: vec![Header { name: "trace".to_owned(), value: Some(value.into()) }],
        ..record.clone()
    };
    let code = DeadLetterCode::Panicked;
    let letters = [record, huge].map(|record| DeadLetter { code, record });
    log.dead_letter(letters.to_vec()).await.unwrap();
    assert_eq!(log.dead_letters(), 2);
    assert_eq!(
        log.redrive(|_| true, |_| {}).await.unwrap(),
        Redriven { looked_at: 2, appended: 0, repeated: 0 }
    );
    let mut kept = waiting_letters(&options).await;
    kept.sort_by_key(|letter| letter.value.as_ref().map(Bytes::len));
    assert_eq!(
        kept.iter().map(|letter| letter.value.as_ref().unwrap().len()).collect::<Vec<_>>(),
        [16 << 10, 256 << 10]
    );
    for letter in &kept {
        let cut = letter.headers.iter().find(|header| header.name == "bookend.error.cut").unwrap();
        assert_eq!(cut.value.as_deref(), Some((3 << 20).to_string().as_bytes()));
    }
}

#[tokio::test]
async fn behind_the_mark_of_a_transaction_the_lag_is_none() {
    let options = fresh(1).await;
    let log = open(&options).await;
    log.append(vec![record("u", "ours")]).await.unwrap();
    let theirs = options.clone();
    let appending = tokio::task::spawn_blocking(move || {
        let producer = other_producer(&theirs, &[("transactional.id", &theirs.topic)]);
        producer.init_transactions(LIMIT).unwrap();
        for (value, kept) in [("aborted", false), ("kept", true)] {
            producer.begin_transaction().unwrap();
            producer
                .send(BaseRecord::to(&theirs.topic).key("u").payload(value))
                .map_err(|(error, _)| error)
                .unwrap();
            match kept {
                true => producer.commit_transaction(LIMIT).unwrap(),
                // An abort before it is on the topic would leave nothing there.
                false => {
                    producer.flush(LIMIT).and_then(|()| producer.abort_transaction(LIMIT)).unwrap()
                }
            }
        }
    });
    appending.await.unwrap();
    let polled = poll(&log, 2).await;
    assert_eq!(polled[1].value.as_deref(), Some(&b"kept"[..]));
    commit(&log, &polled).await;
    // After the last record is only the marker of a transaction, which is never polled.
    until("everything is committed", || {
        log.positions().values().all(|at| at.committed == at.end && at.end == 5)
    })
    .await;
    drop(log);
    let log = open(&options).await;
    assert!(log.positions().values().all(|at| at.committed == 5 && at.end == 5));
    let (mut cursor, mut read) = (log.cursor(), Vec::new());
    loop {
        let more = log.read(&mut cursor, 1).await.unwrap();
        if more.is_empty() {
            break;
        }
        read.extend(more.into_iter().map(|record| record.value.unwrap()));
    }
    assert_eq!(read, ["ours", "kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_transaction_that_is_open_there_is_a_lag_until_it_ends() {
    let options = fresh(1).await;
    let log = open(&options).await;
    log.append(vec![record("u", "before")]).await.unwrap();
    let polled = poll(&log, 1).await;
    commit(&log, &polled).await;
    let theirs = options.clone();
    let begun = tokio::task::spawn_blocking(move || {
        let producer = other_producer(&theirs, &[("transactional.id", &theirs.topic)]);
        producer.init_transactions(LIMIT).unwrap();
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&theirs.topic).key("u").payload("theirs");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(LIMIT).unwrap();
        producer
    });
    let producer = begun.await.unwrap();
    log.append(vec![record("u", "second")]).await.unwrap();
    let stands = |committed, end| log.positions()[&0] == Position { committed, end };
    until("both records are seen", || stands(1, 3)).await;
    // Two queries later, the end that cannot be read was still not committed.
    let queried = std::time::Instant::now();
    until("the offsets were queried again", || queried.elapsed() > 5 * options.offsets_interval)
        .await;
    assert!(stands(1, 3));
    let committing =
        tokio::task::spawn_blocking(move || producer.commit_transaction(LIMIT).unwrap());
    committing.await.unwrap();
    let polled = poll(&log, 2).await;
    let values: Vec<_> = polled.iter().map(|record| record.value.as_deref().unwrap()).collect();
    assert_eq!(values, [b"theirs", b"second"]);
    commit(&log, &polled).await;
    until("everything is committed", || stands(4, 4)).await;
}
