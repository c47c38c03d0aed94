//! Handling, storing and answering together, against a naive model: random micro-batches, repetitions, crashes at any place,
//! zombies, restarts and sweeps, and answers at an instant that moves over the year.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../../shared/tests/support/stack.rs"]
mod stack;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use ingest::pairing::decide;
use proptest::{collection::vec, prelude::*};
use shared::{
    clock::Clock,
    event::{Country, SessionId, UserId},
    session::{Absorbed, CompletedSession, Fact, SessionKey, SessionStart, Start, Status},
    store::{
        CassandraStore, Effect, EmbeddedStore, SessionPosition, Sighting, StartPosition, Store, Window,
        cassandra::{CassandraOptions, setup},
        embedded::EmbeddedStoreOptions,
    },
    timestamp::{DAY, HOUR, RETENTION, Timestamp},
};
use tempfile::TempDir;

/// The instant at which every run begins. Events lie within the year before it, on its edges, and beyond.
const BEGIN: i64 = 1_700_000_000_000;
/// Times are chosen on a coarse grid, so that they are often equal, with a step of a millisecond about each line.
const GRID: i64 = RETENTION / 4;

type Seen = (SessionKey, Fact);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

fn key(user: &str, session: &str) -> SessionKey {
    SessionKey { user: UserId::new(user).unwrap(), session: SessionId::new(session).unwrap() }
}

#[derive(Clone, Debug)]
enum Op {
    /// Handled, but not yet durable: its records come again after a crash.
    Handle(Vec<Seen>),
    /// What was handled is made durable, so that its records can be committed.
    Persist,
    /// What was handled already comes again.
    Redeliver(prop::sample::Index),
    /// The facts are written, then this many of the effects, then the process is gone; the records come again before the
    /// next look at the answers.
    CrashInside(Vec<Seen>, usize),
    /// It has decided, and writes its effects only when all the others went on.
    Zombie(Vec<Seen>),
    Awaken,
    /// The process ends in good order.
    Reopen,
    /// The process is gone; what is on the disk now is what the next one finds.
    Crash,
    Sweep,
    Advance(i64),
    Look {
        from: i64,
        to: i64,
        page: usize,
    },
}

fn a_time() -> impl Strategy<Value = i64> {
    (-5..=1_i64, -1..=1_i64).prop_map(|(line, step)| BEGIN + line * GRID + step)
}

fn an_event() -> impl Strategy<Value = Seen> {
    let start = (a_time(), prop_oneof![Just("AT"), Just("SK"), Just("S")])
        .prop_map(|(ms, country)| Fact::Start(Start { ts: at(ms), country: Country::normalise(country) }));
    let fact = prop_oneof![3 => start, 4 => a_time().prop_map(|ms| Fact::End(at(ms)))];
    let session = prop_oneof![
        4 => Just(("u", "s")),
        2 => Just(("u", "s1")),
        1 => Just(("u1", "s")),
        1 => Just(("u", "s0")),
    ];
    (session, fact).prop_map(|((user, session), fact)| (key(user, session), fact))
}

fn a_batch() -> impl Strategy<Value = Vec<Seen>> {
    vec(an_event(), 1..5)
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => a_batch().prop_map(Op::Handle),
        2 => Just(Op::Persist),
        2 => any::<prop::sample::Index>().prop_map(Op::Redeliver),
        2 => (a_batch(), 0..4_usize).prop_map(|(batch, effects)| Op::CrashInside(batch, effects)),
        2 => a_batch().prop_map(Op::Zombie),
        2 => Just(Op::Awaken),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
        2 => Just(Op::Sweep),
        2 => prop_oneof![Just(1), Just(2), Just(GRID), Just(GRID - 1), Just(2 * GRID)].prop_map(Op::Advance),
        4 => (a_time(), a_time(), 1..4_usize).prop_map(|(from, to, page)| Op::Look { from, to, page }),
    ]
}

/// The rule in its own words, over every event ever received.
#[derive(Default)]
struct Model {
    received: BTreeMap<SessionKey, BTreeSet<Fact>>,
}

impl Model {
    fn receive(&mut self, batch: &[Seen]) {
        for (key, fact) in batch {
            self.received.entry(key.clone()).or_default().insert(fact.clone());
        }
    }

    /// A session of which nothing is as young as the horizon leaves no trace behind a sweep: what comes of it later makes
    /// it anew. Nothing of one that keeps a fact is ever forgotten.
    fn sweep(&mut self, horizon: i64) {
        self.received.retain(|_, facts| facts.iter().any(|fact| time(fact) >= horizon));
    }

    fn canonical(&self, key: &SessionKey) -> (Option<(i64, Country)>, Option<i64>) {
        let facts = self.received.get(key).cloned().unwrap_or_default();
        let mut start: Option<(i64, Country)> = None;
        for fact in &facts {
            if let Fact::Start(Start { ts, country }) = fact {
                let this = (ts.millis(), country.clone());
                if start.as_ref().is_none_or(|start| this < *start) {
                    start = Some(this);
                }
            }
        }
        let mut end: Option<i64> = None;
        for fact in &facts {
            if let Fact::End(ts) = fact
                && start.as_ref().is_none_or(|start| ts.millis() >= start.0)
                && end.is_none_or(|end| ts.millis() < end)
            {
                end = Some(ts.millis());
            }
        }
        (start, end)
    }

    fn status(&self, key: &SessionKey, horizon: i64) -> Option<Status> {
        match self.canonical(key) {
            (Some((started, _)), _) if started < horizon => None,
            (Some(_), Some(_)) => Some(Status::Complete),
            (Some(_), None) => Some(Status::Open),
            (None, Some(ended)) if ended >= horizon => Some(Status::Orphan),
            (None, _) => None,
        }
    }

    fn starts(&self, country: &str, from: i64, to: i64) -> Vec<SessionStart> {
        let mut starts = Vec::new();
        for key in self.received.keys() {
            if let (Some((started, place)), _) = self.canonical(key)
                && place.as_str() == country
                && from <= started
                && started < to
            {
                starts.push(key.started(&Start { ts: at(started), country: place }));
            }
        }
        starts.sort_by(|a, b| b.ts.cmp(&a.ts).then(a.session.cmp(&b.session)).then(a.user.cmp(&b.user)));
        starts
    }

    fn completed(&self, user: &str, horizon: i64) -> Vec<CompletedSession> {
        let mut sessions = Vec::new();
        for key in self.received.keys().filter(|key| key.user.as_str() == user) {
            if let (Some((started, country)), Some(ended)) = self.canonical(key)
                && started >= horizon
            {
                sessions.push(key.completed(&Start { ts: at(started), country }, at(ended)));
            }
        }
        sessions.sort_by(|a, b| b.ended_at.cmp(&a.ended_at).then(a.session.cmp(&b.session)));
        sessions
    }

    fn countries(&self, horizon: i64) -> Vec<Country> {
        let mut countries = BTreeSet::new();
        for fact in self.received.values().flatten() {
            if let Fact::Start(start) = fact
                && start.ts.millis() >= horizon
            {
                countries.insert(start.country.clone());
            }
        }
        countries.into_iter().collect()
    }
}

fn time(fact: &Fact) -> i64 {
    match fact {
        Fact::Start(start) => start.ts.millis(),
        Fact::End(ts) => ts.millis(),
    }
}

/// Where a store lives.
enum Home {
    Dir(TempDir),
    /// Nothing leaves it while a test runs: the margin is longer than all of its times.
    Keyspace(CassandraOptions),
}

/// The service as far as it is tested here, and the model beside it.
struct World {
    home: Home,
    store: Option<Store>,
    now: i64,
    model: Model,
    /// Handled in part, or lost: they come again.
    undone: Vec<Vec<Seen>>,
    /// Handled and not yet durable.
    loose: Vec<Vec<Seen>>,
    handled: Vec<Vec<Seen>>,
    /// The effects of zombies.
    asleep: Vec<Vec<Effect>>,
}

impl Home {
    fn dir() -> Self {
        Self::Dir(TempDir::new().unwrap())
    }

    async fn keyspace() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let options = CassandraOptions {
            nodes: vec![stack::Stack::shared_plain().cassandra_nodes().to_owned()],
            // The stack may still hold those of an earlier run.
            keyspace: format!("pairing_{}_{}_{number}", Clock::machine().now().millis(), std::process::id()),
            margin_ms: 10 * RETENTION,
            // So that the layout of a day changes now and then.
            starts_per_partition: 3,
            ..CassandraOptions::default()
        };
        setup(&options, &"1".parse().unwrap()).await.unwrap();
        Self::Keyspace(options)
    }

    async fn open(&self) -> Option<Store> {
        Some(match self {
            Self::Dir(dir) => {
                let options = EmbeddedStoreOptions {
                    cache_bytes: 1 << 20,
                    write_buffer_bytes: 8 << 20,
                    reserve_bytes: 0,
                };
                Store::Embedded(EmbeddedStore::open(dir.path(), options).unwrap())
            }
            Self::Keyspace(options) => Store::Cassandra(CassandraStore::open(options.clone()).await.unwrap()),
        })
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

/// The engine sets aside tens of mebibytes for its journal, nearly all of them a hole: that is copied as a hole.
fn copy_file(from: &Path, to: &Path) {
    let (mut source, mut target) = (File::open(from).unwrap(), File::create(to).unwrap());
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = source.read(&mut chunk).unwrap();
        if read == 0 || (read == chunk.len() && chunk.iter().all(|byte| *byte == 0)) {
            break;
        }
        target.write_all(&chunk[..read]).unwrap();
    }
    target.set_len(source.metadata().unwrap().len()).unwrap();
}

impl World {
    async fn new(home: Home) -> Self {
        let store = home.open().await;
        Self {
            home,
            store,
            now: BEGIN,
            model: Model::default(),
            undone: Vec::new(),
            loose: Vec::new(),
            handled: Vec::new(),
            asleep: Vec::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn horizon(&self) -> i64 {
        self.now - RETENTION
    }

    /// Writes the facts, and says what has to be written of it.
    async fn absorb(&mut self, batch: &[Seen]) -> Vec<Effect> {
        let mut sightings: BTreeMap<SessionKey, Vec<Fact>> = BTreeMap::new();
        for (key, fact) in batch {
            let facts = sightings.entry(key.clone()).or_default();
            if !facts.contains(fact) {
                facts.push(fact.clone());
            }
        }
        let sightings: Vec<_> = sightings.into_iter().map(|(key, facts)| Sighting { key, facts }).collect();
        let known = self.store().absorb(sightings.clone(), at(self.now)).await.unwrap();
        self.model.receive(batch);
        let mut effects = Vec::new();
        for (sighting, known) in sightings.iter().zip(known) {
            assert!(!known.absorbed.contains(&Absorbed::Contested));
            effects.extend(decide(&sighting.key, &known.facts, &sighting.facts));
        }
        effects
    }

    async fn apply(&self, effects: Vec<Effect>) {
        self.store().apply(effects, at(self.now)).await.unwrap();
    }

    async fn handle(&mut self, batch: Vec<Seen>) {
        let effects = self.absorb(&batch).await;
        self.apply(effects).await;
        self.loose.push(batch.clone());
        self.handled.push(batch);
    }

    async fn persist(&mut self) {
        self.store().persist().await.unwrap();
        self.loose.clear();
    }

    async fn repeat_undone(&mut self) {
        for batch in std::mem::take(&mut self.undone) {
            self.handle(batch).await;
        }
    }

    /// Whether a session has young facts in the model, and of these only lost ones: if the old were swept before the lost
    /// come again, nobody could know of the old.
    async fn is_unsure(&self) -> bool {
        let young = |fact: &Fact| time(fact) >= self.horizon();
        for (key, received) in &self.model.received {
            let stored = self.store().facts(key).await.unwrap();
            let is_old = !stored.starts().iter().any(|start| young(&Fact::Start(start.clone())))
                && !stored.ends().iter().any(|end| young(&Fact::End(*end)));
            if is_old && received.iter().any(young) {
                return true;
            }
        }
        false
    }

    async fn sweep(&mut self) {
        if matches!(self.home, Home::Keyspace(_)) {
            return;
        }
        if self.is_unsure().await {
            self.repeat_undone().await;
        }
        assert_eq!(self.store().sweep(at(self.horizon()), None).await.unwrap(), None);
        self.persist().await;
        self.model.sweep(self.horizon());
    }

    /// A process that is gone leaves its files as they are, and nobody tidies up: what was not made durable may be lost.
    async fn crash(&mut self) {
        if let Home::Dir(dir) = &mut self.home {
            let copied = TempDir::new().unwrap();
            copy(dir.path(), copied.path());
            self.store = None;
            *dir = copied;
        }
        self.store = None;
        self.store = self.home.open().await;
        self.asleep.clear();
        self.undone.append(&mut self.loose);
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Handle(batch) => self.handle(batch).await,
            Op::Persist => self.persist().await,
            Op::Redeliver(which) => {
                if !self.handled.is_empty() {
                    let batch = which.get(&self.handled).clone();
                    self.handle(batch).await;
                }
            }
            Op::CrashInside(batch, written) => {
                let mut effects = self.absorb(&batch).await;
                effects.truncate(written);
                self.apply(effects).await;
                self.undone.push(batch);
                self.crash().await;
            }
            Op::Zombie(batch) => {
                let effects = self.absorb(&batch).await;
                self.asleep.push(effects);
                self.undone.push(batch);
            }
            Op::Awaken => {
                if let Some(effects) = self.asleep.pop() {
                    self.apply(effects).await;
                }
            }
            Op::Reopen => {
                self.store = None;
                self.store = self.home.open().await;
            }
            Op::Crash => self.crash().await,
            Op::Sweep => self.sweep().await,
            Op::Advance(ms) => self.now += ms,
            Op::Look { from, to, page } => self.look(from, to, page).await,
        }
    }

    async fn look(&mut self, from: i64, to: i64, page: usize) {
        self.repeat_undone().await;
        let horizon = self.horizon();
        let countries: Vec<_> = self.store().countries(at(horizon)).await.unwrap().into_keys().collect();
        assert_eq!(countries, self.model.countries(horizon));
        for country in ["AT", "SK", "S", "ZZ"] {
            self.look_at_starts(country, horizon, i64::MAX / 2, page).await;
            self.look_at_starts(country, from, to, page).await;
        }
        for user in ["u", "u1", "u0"] {
            self.look_at_user(user, page).await;
        }
    }

    async fn look_at_starts(&self, country: &str, from: i64, to: i64, page: usize) {
        let to = Timestamp::from_millis(to).unwrap_or(Timestamp::MAX);
        let window = Window { from: at(from), to }.clip(at(self.horizon()));
        let expected = self.model.starts(country, window.from.millis(), window.to.millis());
        let country = Country::normalise(country);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let starts = self.store().starts(&country, window, after, page).await.unwrap();
            let Some(last) = starts.last().cloned() else { break };
            assert!(starts.len() <= page);
            found.extend(starts);
            after = Some(StartPosition { ts: last.ts, session: last.session, user: last.user });
        }
        assert_eq!(found, expected, "{country} in {window:?} at {}", self.now);
        for step in [HOUR, DAY] {
            let mut slots = BTreeMap::new();
            for start in &expected {
                *slots.entry(at(start.ts.millis() / step * step)).or_insert(0) += 1;
            }
            assert_eq!(self.store().count_starts(&country, window, step).await.unwrap(), slots);
        }
    }

    async fn look_at_user(&self, user: &str, page: usize) {
        let (user, horizon) = (UserId::new(user).unwrap(), self.horizon());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let sessions = self.store().completed(&user, at(horizon), after, page).await.unwrap();
            let Some(last) = sessions.last().cloned() else { break };
            assert!(sessions.len() <= page);
            found.extend(sessions);
            after = Some(SessionPosition { ts: last.ended_at, session: last.session });
        }
        assert_eq!(found, self.model.completed(user.as_str(), horizon), "of {user} at {}", self.now);

        let (mut statuses, mut after) = (BTreeMap::new(), None);
        loop {
            let sessions = self.store().sessions(&user, after, page).await.unwrap();
            let Some((last, _)) = sessions.last() else { break };
            after = Some(last.session.clone());
            for (key, facts) in sessions {
                assert_eq!(key.user, user);
                assert_eq!(self.store().facts(&key).await.unwrap(), facts);
                self.look_at_facts(&key, &facts);
                statuses.extend(facts.status(at(horizon)).map(|status| (key, format!("{status:?}"))));
            }
        }
        let keys = self.model.received.keys().filter(|key| key.user == user);
        let expected: BTreeMap<_, _> = keys
            .filter_map(|key| Some((key.clone(), format!("{:?}", self.model.status(key, horizon)?))))
            .collect();
        assert_eq!(statuses, expected, "of {user} at {}", self.now);
    }

    /// Nothing that is as young as the horizon is missing, and nothing is there that was never received.
    fn look_at_facts(&self, key: &SessionKey, facts: &shared::session::SessionFacts) {
        let starts = facts.starts().iter().cloned().map(Fact::Start);
        let stored: BTreeSet<_> = starts.chain(facts.ends().iter().copied().map(Fact::End)).collect();
        let received = &self.model.received[key];
        let young: BTreeSet<_> =
            received.iter().filter(|fact| time(fact) >= self.horizon()).cloned().collect();
        assert!(stored.is_superset(&young) && received.is_superset(&stored), "{stored:?}, not {received:?}");
    }
}

fn run(ops: Vec<Op>) {
    run_in(async { Home::dir() }, ops);
}

fn run_in(home: impl Future<Output = Home>, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(home.await).await;
        for op in ops {
            world.run(op).await;
        }
        world.look(BEGIN - RETENTION, BEGIN, 2).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_answers_are_a_function_of_the_events_and_the_instant(ops in vec(an_op(), 1..40)) {
        run(ops);
    }
}

proptest! {
    // Each is a keyspace of its own.
    #![proptest_config(ProptestConfig {
        cases: 8,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn on_cassandra_too_the_answers_are_a_function_of_the_events_and_the_instant(ops in vec(an_op(), 1..25)) {
        run_in(Home::keyspace(), ops);
    }
}

fn start(ms: i64, country: &str) -> Seen {
    (key("u", "s"), Fact::Start(Start { ts: at(ms), country: Country::normalise(country) }))
}

fn end(ms: i64) -> Seen {
    (key("u", "s"), Fact::End(at(ms)))
}

const LOOK: Op = Op::Look { from: BEGIN - RETENTION, to: BEGIN, page: 1 };

#[test]
fn a_later_start_of_a_session_that_was_swept_in_part_makes_its_country_known_all_the_same() {
    run(vec![
        Op::Handle(vec![start(BEGIN - RETENTION, "AT"), end(BEGIN)]),
        Op::Advance(GRID),
        Op::Sweep,
        Op::Handle(vec![start(BEGIN, "SK")]),
        LOOK,
    ]);
}

#[test]
fn what_was_made_durable_survives_a_crash() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(Home::dir()).await;
        world.handle(vec![start(BEGIN - 1, "SK"), end(BEGIN)]).await;
        world.persist().await;
        world.crash().await;
        assert!(world.undone.is_empty());
        world.look(BEGIN - RETENTION, BEGIN, 1).await;
    });
}

/// The handler stops between the facts and the markers, and the sweep comes before the redelivery.
#[test]
fn a_start_that_was_swept_before_its_handling_was_repeated_supersedes_the_later_one() {
    run(vec![
        Op::Handle(vec![start(BEGIN - 1, "SK"), end(BEGIN)]),
        Op::Persist,
        Op::Zombie(vec![start(BEGIN - RETENTION, "AT")]),
        Op::Advance(1),
        Op::Sweep,
        LOOK,
    ]);
}

#[test]
fn an_end_that_comes_after_its_start_was_swept_is_no_orphan() {
    run(vec![
        Op::Handle(vec![start(BEGIN - RETENTION, "AT"), end(BEGIN - 1)]),
        Op::Advance(1),
        Op::Sweep,
        Op::Handle(vec![end(BEGIN)]),
        LOOK,
        Op::Reopen,
        LOOK,
    ]);
}

#[test]
fn a_zombie_that_wakes_after_a_smaller_start_came_shows_no_phantom() {
    run(vec![
        Op::Zombie(vec![start(BEGIN - 2, "SK"), end(BEGIN)]),
        Op::Handle(vec![start(BEGIN - 3, "AT")]),
        Op::Awaken,
        LOOK,
    ]);
}
