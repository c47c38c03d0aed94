//! The service under test, beside the model.

use super::{home::copy, *};

/// The service under test, and the model beside it.
pub(super) struct World {
    pub(super) home: Home,
    pub(super) store: Option<Store>,
    pub(super) now: i64,
    pub(super) model: Model,
    /// Handled in part, or lost: they are delivered again.
    pub(super) undone: Vec<Vec<Seen>>,
    /// Handled and not yet durable.
    pub(super) loose: Vec<Vec<Seen>>,
    pub(super) handled: Vec<Vec<Seen>>,
    /// The effects of zombies.
    pub(super) asleep: Vec<Vec<Effect>>,
}

impl World {
    pub(super) async fn new(home: Home) -> Self {
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

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn horizon(&self) -> i64 {
        self.now - RETENTION
    }

    /// Writes the facts; returns the effects.
    pub(super) async fn absorb(&mut self, batch: &[Seen]) -> Vec<Effect> {
        let mut sightings: BTreeMap<SessionKey, Vec<Fact>> = BTreeMap::new();
        for (key, fact) in batch {
            let facts = sightings.entry(key.clone()).or_default();
            if !facts.contains(fact) {
                facts.push(fact.clone());
            }
        }
        let sightings: Vec<_> =
            sightings.into_iter().map(|(key, facts)| Sighting { key, facts }).collect();
        let known = self.store().absorb(sightings.clone(), at(self.now)).await.unwrap();
        self.model.receive(batch);
        let mut effects = Vec::new();
        for (sighting, known) in sightings.iter().zip(known) {
            assert!(!known.absorbed.contains(&Absorbed::Contested));
            let arrival = Arrival::of(&known.absorbed, self.store().is_exclusive());
            effects.extend(decide(&sighting.key, &known.facts, &sighting.facts, arrival));
        }
        effects
    }

    pub(super) async fn apply(&self, effects: Vec<Effect>) {
        self.store().apply(effects, at(self.now)).await.unwrap();
    }

    pub(super) async fn handle(&mut self, batch: Vec<Seen>) {
        let effects = self.absorb(&batch).await;
        self.apply(effects).await;
        self.loose.push(batch.clone());
        self.handled.push(batch);
    }

    pub(super) async fn persist(&mut self) {
        self.store().persist().await.unwrap();
        self.loose.clear();
    }

    pub(super) async fn repeat_undone(&mut self) {
        for batch in std::mem::take(&mut self.undone) {
            self.handle(batch).await;
        }
    }

    /// Whether all young facts of a session in the model are lost. If its old facts were swept
    /// before the lost ones are delivered again, no store could know of them.
    pub(super) async fn is_unsure(&self) -> bool {
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

    pub(super) async fn sweep(&mut self) {
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

    /// A killed process leaves its files as they are: data that was not made durable may be lost.
    pub(super) async fn crash(&mut self) {
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

    pub(super) async fn run(&mut self, op: Op) {
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

    pub(super) async fn look(&mut self, from: i64, to: i64, page: usize) {
        self.repeat_undone().await;
        let horizon = self.horizon();
        let known = self.store().countries(at(horizon), None, usize::MAX).await.unwrap();
        let countries: Vec<_> = known.into_iter().map(|(country, _)| country).collect();
        assert_eq!(countries, self.model.countries(horizon));
        for country in ["AT", "SK", "S", "ZZ"] {
            self.look_at_starts(country, horizon, i64::MAX / 2, page).await;
            self.look_at_starts(country, from, to, page).await;
        }
        for user in ["u", "u1", "u0"] {
            self.look_at_user(user, page).await;
        }
    }

    pub(super) async fn look_at_starts(&self, country: &str, from: i64, to: i64, page: usize) {
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
            let counted = self.store().count_starts(vec![country.clone()], window, step).await;
            assert_eq!(counted.unwrap(), [slots]);
        }
    }

    pub(super) async fn look_at_user(&self, user: &str, page: usize) {
        let (user, horizon) = (UserId::new(user).unwrap(), self.horizon());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let sessions = self.store().completed(&user, at(horizon), after, page).await.unwrap();
            let Some(last) = sessions.last().cloned() else { break };
            assert!(sessions.len() <= page);
            found.extend(sessions);
            after = Some(SessionPosition { ts: last.ended_at, session: last.session });
        }
        assert_eq!(
            found,
            self.model.completed(user.as_str(), horizon),
            "of {user} at {}",
            self.now
        );

        let (mut statuses, mut after) = (BTreeMap::new(), None);
        loop {
            let sessions = self.store().sessions(&user, after, page).await.unwrap();
            let Some((last, _)) = sessions.last() else { break };
            after = Some(last.session.clone());
            for (key, facts) in sessions {
                assert_eq!(key.user, user);
                assert_eq!(self.store().facts(&key).await.unwrap(), facts);
                self.look_at_facts(&key, &facts);
                statuses
                    .extend(facts.status(at(horizon)).map(|status| (key, format!("{status:?}"))));
            }
        }
        let keys = self.model.received.keys().filter(|key| key.user == user);
        let expected: BTreeMap<_, _> = keys
            .filter_map(|key| {
                Some((key.clone(), format!("{:?}", self.model.status(key, horizon)?)))
            })
            .collect();
        assert_eq!(statuses, expected, "of {user} at {}", self.now);
    }

    /// Checks that no fact younger than the horizon is missing, and that no fact exists that was
    /// never received.
    pub(super) fn look_at_facts(&self, key: &SessionKey, facts: &shared::session::SessionFacts) {
        let starts = facts.starts().iter().cloned().map(Fact::Start);
        let stored: BTreeSet<_> =
            starts.chain(facts.ends().iter().copied().map(Fact::End)).collect();
        let received = &self.model.received[key];
        let young: BTreeSet<_> =
            received.iter().filter(|fact| time(fact) >= self.horizon()).cloned().collect();
        assert!(
            stored.is_superset(&young) && received.is_superset(&stored),
            "{stored:?}, not {received:?}"
        );
    }
}
