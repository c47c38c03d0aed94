//! Judging a batch: each of its events by itself, by the service's clock.

use shared::{
    event::{EventBatch, Rejection, RejectionCode, SessionEvent},
    timestamp::Timestamp,
};

use super::reply::Report;

/// Separates the events that are accepted at `now`, up to the time `latest`, from the others, which
/// the report lists. An unknown field of a strict sender is the last of all faults.
pub(super) fn judge(
    batch: EventBatch,
    now: Timestamp,
    latest: Timestamp,
) -> (Vec<SessionEvent>, Report) {
    let mut events = Vec::with_capacity(batch.events.len());
    let mut report = Report::default();
    let mut unknown = batch.unknown_fields.into_iter().peekable();
    for (index, event) in batch.events.into_iter().enumerate() {
        let unknown = unknown.next_if(|(position, _)| *position == index);
        match event {
            Err(rejection) => report.reject(index, rejection),
            Ok(event) => match event.judge(now, latest) {
                Ok(()) => match unknown {
                    None => events.push(event),
                    Some((_, rejection)) => report.reject(index, rejection),
                },
                Err(code @ RejectionCode::Expired) => {
                    report.discard(index, code, in_seconds(&event));
                }
                Err(code) => {
                    let detail = too_late(&event, now, latest);
                    report.reject(index, Rejection::new(code, detail));
                }
            },
        }
    }
    report.accepted = events.len();
    (events, report)
}

/// Asks whether a time was sent in seconds, if its milliseconds have the ten digits of seconds.
fn in_seconds(event: &SessionEvent) -> Option<String> {
    let ts = event.ts();
    (1_000_000_000..10_000_000_000).contains(&ts.millis()).then(|| {
        format!(
            "`ts` is {ts}; were seconds meant? send milliseconds since 1970, {}000",
            ts.millis()
        )
    })
}

fn too_late(event: &SessionEvent, now: Timestamp, latest: Timestamp) -> String {
    let (ts, seconds) = (event.ts(), (latest - now) / 1_000);
    format!(
        "`ts` {ts} is more than {seconds} s ahead of the service's clock, {now}; check the clock of \
         the client"
    )
}
