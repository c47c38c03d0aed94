//! Answers and metrics for events in any order, and across restarts.

use super::*;

#[tokio::test]
async fn a_start_and_an_end_make_a_session() {
    let place = Place::new();
    place.append([start("a", -60), end("a", -30)]).await;
    let counted = place.settle().await;
    assert_eq!(place.answer("a").await, expected(&key("a"), &[start("a", -60), end("a", -30)]));
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn an_end_waits_for_its_start_over_a_restart() {
    let place = Place::new();
    place.append([end("a", -30)]).await;
    place.settle().await;
    assert_eq!(place.answer("a").await.status, Some(Status::Orphan));
    let place = place.reopen(Settings::default());
    place.append([start("a", -60)]).await;
    place.settle().await;
    assert_eq!(place.answer("a").await.status, Some(Status::Complete));
}

#[tokio::test]
async fn every_order_gives_the_same_answer() {
    let events = [
        start("a", -60),
        start_in("a", -50, "AT"),
        end("a", -70),
        end("a", -40),
        end("a", -30),
        end("a", -40),
    ];
    for turn in 0..events.len() {
        let mut turned = events.clone();
        turned.rotate_left(turn);
        let place = Place::new();
        for event in turned {
            place.append([event]).await;
        }
        place.settle().await;
        assert_eq!(place.answer("a").await, expected(&key("a"), &events), "{turn}");
    }
}

#[tokio::test]
async fn what_is_handled_is_counted_once_each() {
    let place = Place::new();
    let garbage = "garbage".to_owned();
    let old = end("e", -(RETENTION + DAY) / MINUTE);
    place.append([start("a", -60), end("b", -60), start("c", -60), garbage, old]).await;
    place.append([end("a", -30), start("a", -60), start("a", -50), end("b", -50)]).await;
    let counted = place.settle().await;
    let sent = 9.0;
    let outcomes =
        ["paired", "open", "orphan", "duplicate", "expired", "dead_lettered", "superseded"]
            .map(|outcome| handled(&counted, outcome));
    assert_eq!(outcomes.iter().sum::<f64>(), sent, "{outcomes:?}");
    // The order of handling alone decides the outcomes of the two ends of `b`.
    assert_eq!(outcomes[2..], [1.0, 1.0, 1.0, 1.0, 2.0]);
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn what_is_known_already_is_counted_as_a_repetition_after_a_restart_too() {
    let place = Place::new();
    place.append([start("a", -60)]).await;
    place.settle().await;
    let place = place.reopen(Settings::default());
    place.append([start("a", -60)]).await;
    let counted = place.settle().await;
    assert_eq!((handled(&counted, "duplicate"), handled(&counted, "open")), (1.0, 0.0));
}

#[tokio::test]
async fn a_session_that_is_completed_again_is_counted_once() {
    let place = Place::new();
    for event in [start("a", -60), end("a", -30), end("a", -40), start("a", -90), end("a", -30)] {
        place.append([event]).await;
    }
    let counted = place.settle().await;
    assert_eq!(metric(&counted, "bookend_sessions_completed_total"), 1.0);
}

#[tokio::test]
async fn without_lag_everything_is_answered() {
    let place = Place::new();
    let running = place.consume();
    for round in 0..10 {
        let users: Vec<_> = (0..20).map(|user| format!("u{round}x{user}")).collect();
        place.append(users.iter().map(|user| start(user, -60))).await;
        place.until_committed().await;
        for user in users {
            assert_eq!(place.answer(&user).await.status, Some(Status::Open), "{user}");
        }
    }
    running.stop().await;
}
