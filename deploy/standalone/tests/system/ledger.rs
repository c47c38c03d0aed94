//! A client that keeps a ledger: the events it sent, those acknowledged, and those without a reply.

use std::{
    collections::{BTreeSet, VecDeque},
    io::ErrorKind,
    sync::{Mutex, mpsc},
};

use crate::{
    client::{Client, LINES, Reply},
    data::{Chance, joined},
    model::Model,
    questions::{compare, known_events},
    reading::{Event, Line, events, read},
};

/// The number of concurrent requests.
const AT_ONCE: usize = 8;

/// The bodies to send, and the result of those that were sent.
pub(crate) struct Ledger {
    now: i64,
    waiting: Mutex<VecDeque<Vec<Vec<u8>>>>,
    sent: Mutex<BTreeSet<Event>>,
    acknowledged: Mutex<BTreeSet<Event>>,
    unanswered: Mutex<usize>,
    chance: Mutex<Chance>,
}

impl Ledger {
    /// A ledger for a service whose clock shows `now`.
    pub(crate) fn new(lines: &[Vec<u8>], batch: usize, now: i64, seed: u64) -> Self {
        Self {
            now,
            waiting: Mutex::new(lines.chunks(batch).map(<[_]>::to_vec).collect()),
            sent: Mutex::default(),
            acknowledged: Mutex::default(),
            unanswered: Mutex::default(),
            chance: Mutex::new(Chance::new(seed)),
        }
    }

    /// The number of batches that are not sent yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// The number of requests without a reply.
    pub(crate) fn unanswered(&self) -> usize {
        *self.unanswered.lock().unwrap()
    }

    /// A random number below `limit`.
    pub(crate) fn below(&self, limit: usize) -> usize {
        self.chance.lock().unwrap().below(limit)
    }

    /// Sends until no batch is left or the service stops replying. Calls `answered` after each
    /// reply.
    pub(crate) fn send(&self, client: Client, answered: &mpsc::Sender<()>) {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while self.send_one(client) {
                        answered.send(()).ok();
                    }
                });
            }
        });
    }

    /// Sends one batch. Returns false at the end.
    fn send_one(&self, client: Client) -> bool {
        let Some(batch) = self.waiting.lock().unwrap().pop_front() else { return false };
        self.sent.lock().unwrap().extend(events(&batch, self.now));
        match client.post("/v1/events", &[LINES], &joined(&batch)) {
            Ok(reply) if reply.status == 503 => {
                assert!(reply.header("retry-after").is_some(), "a 503 says when to come again");
                self.waiting.lock().unwrap().push_back(batch);
                true
            }
            Ok(reply) => {
                self.acknowledge(&batch, &reply);
                true
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::UnexpectedEof, "an answer broke off");
                *self.unanswered.lock().unwrap() += 1;
                // Some clients retry, others do not.
                if self.below(2) == 0 {
                    self.waiting.lock().unwrap().push_back(batch);
                }
                false
            }
        }
    }

    fn acknowledge(&self, batch: &[Vec<u8>], reply: &Reply) {
        let accepted = events(batch, self.now);
        let discarded = batch.iter().filter(|line| read(line, self.now) == Line::Discarded).count();
        let report = reply.json();
        let counts = [&report["accepted"], &report["discarded"], &report["rejected"]];
        let [accepts, discards, rejects] = counts.map(|count| match count.as_array() {
            Some(each) => each.len(),
            None => usize::try_from(count.as_u64().unwrap()).unwrap(),
        });
        let expected = [accepted.len(), discarded, batch.len() - accepted.len() - discarded];
        assert_eq!([accepts, discards, rejects], expected, "{report}");
        assert_eq!(reply.status, 200, "{report}");
        self.acknowledged.lock().unwrap().extend(accepted);
    }

    /// Fails unless the service has every acknowledged event and no event that was never sent, has
    /// processed its whole log, and replies like the model of these events.
    pub(crate) fn check(&self, client: Client) {
        let (sent, acknowledged) = (self.sent.lock().unwrap(), self.acknowledged.lock().unwrap());
        let known = known_events(client, Model::new(sent.iter()).sessions());
        let once: BTreeSet<Event> = known.iter().cloned().collect();
        assert_eq!(once.len(), known.len(), "no fact is listed twice");
        let lost: Vec<_> = acknowledged.difference(&once).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged events are lost: {:?}",
            lost.len(),
            acknowledged.len(),
            lost[0]
        );
        let invented: Vec<_> = once.difference(&sent).collect();
        assert!(
            invented.is_empty(),
            "{} events were never sent: {:?}",
            invented.len(),
            invented[0]
        );
        compare(client, &Model::new(&once));
    }
}
