//! What becomes of the events: adds the replies up, and stops the load where they require it.

use std::{path::PathBuf, time::Duration};

use super::{
    batch::{Place, RequestBatch},
    rejects::{self, Rejects},
    sender::Delivered,
    summary::Summary,
};

/// The outcome of a load so far.
#[derive(Debug)]
pub(super) struct Outcome {
    summary: Summary,
    files: Vec<PathBuf>,
    rejects: Option<Rejects>,
    is_strict: bool,
    /// The rejected event that comes first in the input, in words.
    first_rejected: Option<(Place, String)>,
    in_flight: usize,
}

impl Outcome {
    /// `files` are the names of the input. If `is_strict`, the first rejected event is a failure.
    pub(super) fn new(files: Vec<PathBuf>, rejects: Option<Rejects>, is_strict: bool) -> Self {
        let summary = Summary::default();
        Self { summary, files, rejects, is_strict, first_rejected: None, in_flight: 0 }
    }

    /// The events with a reply.
    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn has_failed(&self) -> bool {
        self.summary.failure.is_some()
    }

    pub(super) fn fail(&mut self, why: String) {
        self.summary.fail(why);
    }

    /// Counts events that are not sent.
    pub(super) fn undelivered(&mut self, events: usize) {
        self.summary.undelivered(events);
    }

    /// Notes that `batch` is being sent.
    pub(super) fn begin(&mut self, batch: &RequestBatch) {
        self.in_flight += batch.events();
    }

    /// Adds the result of a batch.
    pub(super) fn add(&mut self, delivered: Delivered) {
        let Delivered { report, retries, undelivered, failure } = delivered;
        self.in_flight -= report.accepted as usize + report.refused.len() + undelivered;
        self.summary.add(&report);
        self.summary.retries += retries;
        self.summary.undelivered(undelivered);
        if let Some(failure) = failure {
            self.fail(failure);
        }
        let rejected = report.refused.iter().filter(|event| !event.is_discarded);
        if let Some(event) = rejected.min_by_key(|event| event.place) {
            let is_first = self.first_rejected.as_ref().is_none_or(|(at, _)| event.place < *at);
            if is_first {
                let words = rejects::in_words(event, &self.files);
                self.first_rejected = Some((event.place, words));
            }
            if self.is_strict {
                let words = rejects::in_words(event, &self.files);
                self.fail(format!("--strict: stopped at {words}"));
            }
        }
        if let Some(rejects) = &mut self.rejects
            && let Err(error) = rejects.write(&report.refused, &self.files)
        {
            self.rejects = None;
            self.fail(format!("{error:#}"));
        }
    }

    /// Ends the load, which took `elapsed`. An interrupted one leaves batches without a reply.
    pub(super) fn finish(mut self, elapsed: Duration, is_interrupted: bool) -> Summary {
        self.summary.elapsed = elapsed;
        self.summary.is_interrupted = is_interrupted;
        self.undelivered(self.in_flight);
        if is_interrupted {
            self.fail("interrupted; the rest of the input was not sent".to_owned());
        }
        if let Some(rejects) = self.rejects.take()
            && let Err(error) = rejects.finish()
        {
            self.fail(format!("{error:#}"));
        }
        let rejected = self.first_rejected.as_ref().map(|(_, words)| words.as_str());
        self.summary.fail_if_nothing_was_accepted(rejected);
        self.summary
    }
}
