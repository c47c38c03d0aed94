//! Records that cannot be handled, and records that are redriven.

use super::*;

#[tokio::test]
async fn what_is_no_event_goes_to_the_dead_letters_with_its_code() {
    let place = Place::new();
    let records = [
        ("", "not_an_object"),
        ("\u{0}", "not_an_object"),
        ("[{}]", "not_an_object"),
        ("{}", "missing_user_id"),
        (r#"{"user_id":"u","user_id":"u"}"#, "duplicate_key"),
        (r#"{"user_id":"u","session_id":"s","event":"pause","ts":1}"#, "invalid_event"),
    ];
    place.append(records.map(|(record, _)| record.to_owned())).await;
    place.append([start("a", -60)]).await;
    let counted = place.settle().await;
    for (code, count) in [
        ("not_an_object", 3.0),
        ("missing_user_id", 1.0),
        ("duplicate_key", 1.0),
        ("invalid_event", 1.0),
    ] {
        assert_eq!(dead(&counted, code), count, "{code}");
    }
    assert_eq!(handled(&counted, "dead_lettered"), 6.0);
    assert_eq!(place.log.dead_letters(), 6);
    assert_eq!(place.answer("a").await.status, Some(Status::Open));
}

#[tokio::test]
async fn the_five_bytes_of_a_schema_registry_are_skipped_and_counted() {
    let place = Place::new();
    let framed = |value: &str| format!("\0\0\0\u{1}\u{2}{value}");
    place.append([framed(&start("a", -60)), end("a", -30), framed("\u{4}u1\u{4}s1")]).await;
    let counted = place.settle().await;
    assert_eq!(metric(&counted, "bookend_consumer_schema_ids_total"), 1.0);
    assert_eq!((handled(&counted, "paired"), dead(&counted, "not_an_object")), (2.0, 1.0));
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
}

#[tokio::test]
async fn what_comes_after_the_last_fact_that_a_session_may_have_is_contested() {
    let place = Place::new();
    place.append((0..70).map(|minute| start("a", -200 + minute))).await;
    place.append([start("a", -200), start("b", -60)]).await;
    let counted = place.settle().await;
    assert_eq!((dead(&counted, "contested"), place.log.dead_letters()), (6.0, 6));
    assert_eq!(handled(&counted, "duplicate"), 1.0);
    let facts = place.store.facts(&key("a")).await.unwrap();
    assert_eq!(facts.starts().len(), 64);
    assert_eq!(place.answer("b").await.status, Some(Status::Open));
}

#[tokio::test]
async fn an_event_is_judged_by_when_it_was_appended_and_not_by_when_it_is_read() {
    let place = Place::new();
    let (year, day) = (RETENTION / MINUTE, DAY / MINUTE);
    // Not expired when they were appended a year and a day ago; expired today.
    let then = now() - RETENTION - DAY;
    place.append_at(Some(then), [start("a", -year - day - 1), end("a", -year - day)]).await;
    // Expired today as it was then.
    place.append([end("e", -year - 1)]).await;
    let counted = place.settle().await;
    assert_eq!(handled(&counted, "expired"), 1.0);
    assert_eq!(handled(&counted, "paired"), 2.0);
    assert_eq!(place.store.facts(&key("a")).await.unwrap().ends().len(), 1);
    let horizon = now() - RETENTION;
    assert!(place.store.completed(&key("a").user, horizon, None, 10).await.unwrap().is_empty());
    assert!(place.store.countries(Timestamp::MIN, None, 1).await.unwrap().is_empty());
}

/// Every record of the embedded log was accepted by the endpoint. A restart with a smaller
/// tolerance or a clock that was set back must not refuse a backlog.
#[tokio::test]
async fn what_the_endpoint_accepted_is_not_refused_by_a_smaller_tolerance_or_another_clock() {
    let place = Place::new();
    place.append([start("a", 60), end("a", 70)]).await;
    let day_before = Some(now() - DAY);
    place.append_at(day_before, [start("b", -60)]).await;
    let options = ConsumerOptions { future_tolerance_ms: 0, ..ConsumerOptions::default() };
    let running = place.consume_with(Settings { options, ..Settings::default() });
    place.until_committed().await;
    let counted = running.stop().await;
    assert_eq!((dead(&counted, "future"), place.log.dead_letters()), (0.0, 0));
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(place.answer("b").await.status, Some(Status::Open));
}

fn panics_for_mallory(
    key: &SessionKey,
    facts: &SessionFacts,
    handled: &[Fact],
    arrival: Arrival,
) -> Vec<Effect> {
    assert!(key.user.as_str() != "mallory", "planted defect");
    decide(key, facts, handled, arrival)
}

#[tokio::test]
async fn a_record_that_panics_is_put_aside_alone_and_answered_once_the_defect_is_mended() {
    let place = Place::new();
    place
        .append([
            start("a", -60),
            start("mallory", -60),
            end("a", -30),
            end("mallory", -30),
            start("b", -60),
        ])
        .await;
    let running =
        place.consume_with(Settings { decide: panics_for_mallory, ..Settings::default() });
    place.until_committed().await;
    let counted = running.stop().await;
    assert_eq!((dead(&counted, "panicked"), place.log.dead_letters()), (2.0, 2));
    assert_eq!(handled(&counted, "dead_lettered"), 2.0);
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(place.answer("b").await.status, Some(Status::Open));
    assert!(place.answer("mallory").await.completed.is_empty());

    let place = place.reopen(Settings::default());
    let redriven =
        place.log.redrive(|code| code == DeadLetterCode::Panicked, |_| {}).await.unwrap();
    assert_eq!(redriven.appended, 2);
    place.settle().await;
    assert_eq!(
        place.answer("mallory").await,
        expected(&key("mallory"), &[start("mallory", -60), end("mallory", -30)])
    );
    assert_eq!(place.log.dead_letters(), 0);
}

#[tokio::test]
async fn what_is_redriven_is_judged_by_when_it_was_first_appended() {
    let place = Place::new();
    let then = now() - RETENTION + HOUR;
    let event = end("mallory", -(RETENTION + HOUR) / MINUTE);
    place.append_at(Some(then), [event]).await;
    let running =
        place.consume_with(Settings { decide: panics_for_mallory, ..Settings::default() });
    place.until_committed().await;
    running.stop().await;
    place.log.redrive(|_| true, |_| {}).await.unwrap();
    let counted = place.settle().await;
    assert_eq!(handled(&counted, "expired"), 0.0);
    assert_eq!(place.store.facts(&key("mallory")).await.unwrap().ends().len(), 1);
}

#[tokio::test]
async fn an_unknown_code_of_a_dead_letter_redrives_nothing() {
    let place = Place::new();
    place.append(["garbage".to_owned()]).await;
    place.settle().await;
    let wanted = DeadLetterCode::Rejected(RejectionCode::Future);
    let redriven = place.log.redrive(|code| code == wanted, |_| {}).await.unwrap();
    assert_eq!((redriven.appended, place.log.dead_letters()), (0, 1));
}
