//! The operations, and how they are chosen.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Handles events without making them durable: a crash delivers their records again.
    Handle(Vec<Seen>),
    /// Makes handled events durable, so that their records can be committed.
    Persist,
    /// Delivers handled events again.
    Redeliver(prop::sample::Index),
    /// Writes the facts and this many of the effects, then crashes. The records are delivered again
    /// before the next query.
    CrashInside(Vec<Seen>, usize),
    /// Decides, and writes the effects only after all other handlers have continued.
    Zombie(Vec<Seen>),
    Awaken,
    /// Stops the process cleanly.
    Reopen,
    /// Kills the process; the next one finds what is on the disk now.
    Crash,
    Sweep,
    Advance(i64),
    Look {
        from: i64,
        to: i64,
        page: usize,
    },
}

pub(super) fn a_time() -> impl Strategy<Value = i64> {
    (-5..=1_i64, -1..=1_i64).prop_map(|(line, step)| BEGIN + line * GRID + step)
}

pub(super) fn an_event() -> impl Strategy<Value = Seen> {
    let start =
        (a_time(), prop_oneof![Just("AT"), Just("SK"), Just("S")]).prop_map(|(ms, country)| {
            Fact::Start(Start { ts: at(ms), country: Country::normalise(country) })
        });
    let fact = prop_oneof![3 => start, 4 => a_time().prop_map(|ms| Fact::End(at(ms)))];
    let session = prop_oneof![
        4 => Just(("u", "s")),
        2 => Just(("u", "s1")),
        1 => Just(("u1", "s")),
        1 => Just(("u", "s0")),
    ];
    (session, fact).prop_map(|((user, session), fact)| (key(user, session), fact))
}

pub(super) fn a_batch() -> impl Strategy<Value = Vec<Seen>> {
    vec(an_event(), 1..5)
}

pub(super) fn an_op() -> impl Strategy<Value = Op> {
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
