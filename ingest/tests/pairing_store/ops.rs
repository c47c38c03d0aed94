//! What can happen, and how it is chosen.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Handled, but not yet durable: its records come again after a crash.
    Handle(Vec<Seen>),
    /// What was handled is made durable, so that its records can be committed.
    Persist,
    /// What was handled already comes again.
    Redeliver(prop::sample::Index),
    /// The facts are written, then this many of the effects, then the process is gone; the records
    /// come again before the next look at the answers.
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
