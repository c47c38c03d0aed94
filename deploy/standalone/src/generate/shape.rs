//! The shape of the data set, as numbers: the sessions of each user, their countries and their
//! times.

use shared::timestamp::{DAY, SECOND, Timestamp};

use super::{
    args::{GenerateArgs, ORIGINAL_SESSIONS, Skew},
    draw::{Draw, Ranks, Stream},
    ingredient::Ingredient,
    line,
};

const ORIGINAL_USERS: u64 = 19_615;
const ORIGINAL_OPEN: u64 = 2;
const ORIGINAL_ORPHANS: u64 = 3;
/// Smaller data sets have only complete sessions; others have at least one open one and one orphan.
const FEWEST_WITH_HALVES: u32 = 100;
const MOST_SESSIONS_OF_A_USER: u32 = 50;

/// The window of the starts, thirty days, in seconds.
const WINDOW: u32 = 30 * 24 * 60 * 60;
const SHORTEST: u32 = 2 * 60;
const LONGEST: u32 = 8 * 60 * 60;

/// The values of `country`, one per line; `data/README.md` has their source.
const COUNTRIES: &str = include_str!("../../../../data/countries.txt");

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) users: Vec<User>,
    /// Grouped by user.
    pub(super) sessions: Vec<Session>,
    pub(super) countries: Vec<&'static str>,
    pub(super) ending_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) id: u128,
    pub(super) country: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: u128,
    pub(super) user: u32,
    /// Seconds from the beginning of the window to the start, and from the start to the end.
    started: u32,
    lasts: u32,
    pub(super) halves: Halves,
    /// The spelling of its events if it is unusual.
    pub(super) spelling: Option<Ingredient>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halves {
    Both,
    StartAlone,
    EndAlone,
}

impl Shape {
    pub(super) fn draw(args: &GenerateArgs, ending_at: Timestamp) -> Self {
        let countries: Vec<_> = COUNTRIES.lines().collect();
        let mut draw = Draw::new(args.seed, Stream::Users);
        let counts = sessions_of_users(args.sessions, args.skew, &mut draw);
        let users = draw_users(counts.len(), countries.len(), args.skew, &mut draw);

        let mut draw = Draw::new(args.seed, Stream::Sessions);
        let mut sessions = Vec::with_capacity(args.sessions as usize);
        for (user, &count) in (0..).zip(&counts) {
            sessions.extend((0..count).map(|_| Session::draw(user, &mut draw)));
        }
        take_halves_away(&mut sessions, counts, &mut draw);
        Self { users, sessions, countries, ending_at: ending_at.floor(SECOND) }
    }

    /// The numbers of all events, as in [`super::Dataset`].
    pub(super) fn events(&self) -> Vec<u32> {
        let mut events = Vec::with_capacity(2 * self.sessions.len());
        for (number, session) in (0..).zip(&self.sessions) {
            events.extend((session.halves != Halves::EndAlone).then_some(2 * number));
            events.extend((session.halves != Halves::StartAlone).then_some(2 * number + 1));
        }
        events
    }

    pub(super) fn started_at(&self, session: &Session) -> Timestamp {
        self.ending_at - 30 * DAY + i64::from(session.started) * SECOND
    }

    pub(super) fn ended_at(&self, session: &Session) -> Timestamp {
        self.started_at(session) + i64::from(session.lasts) * SECOND
    }

    pub(super) fn country(&self, session: &Session) -> &'static str {
        self.countries[usize::from(self.users[session.user as usize].country)]
    }

    /// Appends the start or the end of session `number` to `out`, in the spelling of the original.
    pub(super) fn write_event(&self, number: usize, end: bool, out: &mut Vec<u8>) {
        let session = &self.sessions[number];
        let user = self.users[session.user as usize].id;
        let (at, country) = match end {
            false => (self.started_at(session), Some(self.country(session))),
            true => (self.ended_at(session), None),
        };
        line::plain(user, session.id, at, country, out);
    }
}

impl Session {
    /// Draws a start, uniform over the window, and a duration. A session of the last eight hours is
    /// short enough to end within the window: no end may be in the future of a service that loads
    /// the data at `--ending-at`.
    fn draw(user: u32, draw: &mut Draw) -> Self {
        let started = draw.within(0, WINDOW - SHORTEST);
        let lasts = draw.within(SHORTEST, LONGEST.min(WINDOW - started));
        Self {
            id: line::as_uuid(draw.bits()),
            user,
            started,
            lasts,
            halves: Halves::Both,
            spelling: None,
        }
    }
}

/// The number of sessions of each user: at least one each, `sessions` in total.
fn sessions_of_users(sessions: u32, skew: Skew, draw: &mut Draw) -> Vec<u32> {
    let users = scaled(ORIGINAL_USERS, sessions)
        .clamp(sessions.div_ceil(MOST_SESSIONS_OF_A_USER), sessions);
    match skew {
        Skew::Uniform => {
            let mut counts: Vec<_> =
                (0..users).map(|_| draw.within(1, MOST_SESSIONS_OF_A_USER)).collect();
            fit(&mut counts, sessions);
            counts
        }
        Skew::Zipf => {
            let ranks = Ranks::new(users as usize);
            let mut counts = vec![1; users as usize];
            (users..sessions).for_each(|_| counts[draw.rank(&ranks)] += 1);
            counts
        }
    }
}

/// Changes counts by one, within their bounds, until their sum is `sessions`. At the size of the
/// original this affects some hundreds of 19,615, so the distribution stays uniform.
fn fit(counts: &mut [u32], sessions: u32) {
    let mut sum: u32 = counts.iter().sum();
    while sum != sessions {
        for count in &mut *counts {
            if sum < sessions && *count < MOST_SESSIONS_OF_A_USER {
                *count += 1;
                sum += 1;
            } else if sum > sessions && *count > 1 {
                *count -= 1;
                sum -= 1;
            }
        }
    }
}

/// Draws users. If there are enough, every country has at least one.
fn draw_users(users: usize, countries: usize, skew: Skew, draw: &mut Draw) -> Vec<User> {
    let ranks = Ranks::new(countries);
    let mut shuffled: Vec<_> = (0..countries as u8).collect();
    draw.shuffle(&mut shuffled);
    let one_each = if users < countries { 0 } else { countries };
    let draw_user = |user| {
        let country = match skew {
            _ if user < one_each => user,
            Skew::Uniform => draw.below(countries as u32) as usize,
            Skew::Zipf => draw.rank(&ranks),
        };
        User { id: draw.bits(), country: shuffled[country] }
    };
    (0..users).map(draw_user).collect()
}

/// Turns some complete sessions into open ones and orphans. Their users keep a complete session.
fn take_halves_away(sessions: &mut [Session], mut complete: Vec<u32>, draw: &mut Draw) {
    let all = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
    if all < FEWEST_WITH_HALVES {
        return;
    }
    let open = scaled_up(ORIGINAL_OPEN, all);
    let orphans = scaled_up(ORIGINAL_ORPHANS, all);
    for taken in 0..open + orphans {
        let session = loop {
            let session = &mut sessions[draw.below(all) as usize];
            if session.halves == Halves::Both && complete[session.user as usize] > 1 {
                break session;
            }
        };
        complete[session.user as usize] -= 1;
        session.halves = if taken < open { Halves::StartAlone } else { Halves::EndAlone };
    }
}

/// The original's `figure`, scaled to `sessions` and rounded.
fn scaled(figure: u64, sessions: u32) -> u32 {
    ((figure * u64::from(sessions) + u64::from(ORIGINAL_SESSIONS) / 2)
        / u64::from(ORIGINAL_SESSIONS)) as u32
}

/// The same, rounded up, so that a small data set has rare cases too.
fn scaled_up(figure: u64, sessions: u32) -> u32 {
    (figure * u64::from(sessions)).div_ceil(u64::from(ORIGINAL_SESSIONS)) as u32
}
