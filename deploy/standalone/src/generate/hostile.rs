//! The hostile profile: the positions of its ingredients, and the content of the valid ones.

use shared::timestamp::{HOUR, MINUTE, SECOND};

use super::{
    draw::{Draw, Stream},
    fault,
    ingredient::{Extra, Ingredient},
    line,
    shape::{Session, Shape},
    spelling::Event,
};

/// Gives about every second session an unusual spelling.
pub(super) fn spell(sessions: &mut [Session], seed: u64) {
    let mut draw = Draw::new(seed, Stream::Spellings);
    for session in sessions {
        let one = draw.below(2 * Ingredient::SPELLINGS.len() as u32) as usize;
        session.spelling = Ingredient::SPELLINGS.get(one).copied();
    }
}

/// Draws the lines besides the events of the clean profile, and adds them and distant repetitions
/// to `order`: conflicts in one session of ten, one fault per ten sessions and one repetition per
/// twenty, but each kind at least once.
pub(super) fn draw(shape: &Shape, seed: u64, order: &mut Vec<u32>) -> Vec<Extra> {
    let mut draw = Draw::new(seed, Stream::Extras);
    let sessions = shape.sessions.len();
    let clean = order.len();
    let mut extras = Vec::new();

    let mut contested: Vec<_> = (0..sessions as u32).collect();
    draw.shuffle(&mut contested);
    for (turn, &session) in
        contested.iter().take((sessions / 10).max(Ingredient::CONFLICTS.len())).enumerate()
    {
        // Up to three different ones, so that a session stays below the limit of facts.
        for ingredient in
            (turn..=turn + draw.below(3) as usize).map(|turn| Ingredient::CONFLICTS[turn % 10])
        {
            let times = match ingredient {
                Ingredient::Crowd => draw.within(3, 34),
                Ingredient::SharedSessionId => 2,
                _ => 1,
            };
            extras.extend((0..times).map(|salt| Extra {
                ingredient,
                session,
                salt: draw.below(1 << 31) << 1 | salt & 1,
            }));
        }
    }
    for turn in 0..(sessions / 10).max(Ingredient::FAULTS.len()) {
        let (ingredient, _) = Ingredient::FAULTS[turn % Ingredient::FAULTS.len()];
        extras.push(Extra {
            ingredient,
            session: draw.below(sessions as u32),
            salt: draw.below(u32::MAX),
        });
    }
    let first = 2 * sessions as u32;
    order.extend(first..first + extras.len() as u32);
    for _ in 0..(sessions / 20).max(1) {
        order.push(order[draw.below(clean as u32) as usize]);
    }
    extras
}

/// Repeats one line of fifty immediately.
pub(super) fn repeat_some_at_once(order: Vec<u32>, seed: u64) -> Vec<u32> {
    let mut draw = Draw::new(seed, Stream::Repetitions);
    order
        .into_iter()
        .flat_map(|code| std::iter::repeat_n(code, if draw.below(50) == 0 { 2 } else { 1 }))
        .collect()
}

/// Appends the start or the end of session `number` to `out`, in the spelling of the session.
pub(super) fn write_event(shape: &Shape, number: usize, end: bool, out: &mut Vec<u8>) {
    let session = &shape.sessions[number];
    if session.spelling.is_none() && !is_odd(session.user) {
        return shape.write_event(number, end, out);
    }
    let event = event(shape, number, end);
    match session.spelling {
        Some(spelling) => event.spelled(spelling, out),
        None => event.write(&event.fields(), out),
    }
}

/// Appends a conflict or a fault to `out`.
pub(super) fn write(shape: &Shape, extra: Extra, out: &mut Vec<u8>) {
    match conflict(shape, extra) {
        Some(event) => event.write(&event.fields(), out),
        None => fault::write(
            shape.ending_at,
            &event(shape, extra.session as usize, extra.salt % 2 == 1),
            extra,
            out,
        ),
    }
}

/// Returns the start or the end of session `number`.
fn event(shape: &Shape, number: usize, end: bool) -> Event {
    let session = &shape.sessions[number];
    Event {
        user: user_id(shape, session.user),
        session: session_id(shape, number),
        end,
        at: if end { shape.ended_at(session) } else { shape.started_at(session) },
        country: shape.country(session).to_owned(),
    }
}

/// Returns the additional event of a conflict; `None` for a fault.
fn conflict(shape: &Shape, extra: Extra) -> Option<Event> {
    let Extra { ingredient, session: number, salt } = extra;
    let session = &shape.sessions[number as usize];
    let (started, ended) = (shape.started_at(session), shape.ended_at(session));
    let while_it_lasts = i64::from(salt) % ((ended - started) / SECOND) * SECOND;
    let another = shape.countries[salt as usize % shape.countries.len()];
    let own = shape.country(session);
    let (end, at, country) = match ingredient {
        Ingredient::LaterStart => (false, started + MINUTE + while_it_lasts, another),
        Ingredient::EarlierStart => (false, started - MINUTE - while_it_lasts, own),
        Ingredient::SameInstantStart => (false, started, another),
        Ingredient::NextMillisecondStart => (false, started + 1, another),
        Ingredient::LaterEnd => (true, ended + MINUTE + while_it_lasts, own),
        Ingredient::EarlierEnd => (true, started + while_it_lasts, own),
        Ingredient::EndBeforeStart => (true, started - SECOND - while_it_lasts, own),
        Ingredient::EndAtStart => (true, started, own),
        Ingredient::SharedSessionId => {
            (salt % 2 == 1, if salt % 2 == 1 { ended } else { started }, another)
        }
        Ingredient::Crowd => {
            (salt % 2 == 1, started - HOUR + i64::from(salt) % (3 * HOUR), another)
        }
        _ => return None,
    };
    let user = match ingredient {
        Ingredient::SharedSessionId => (session.user + 1) % shape.users.len() as u32,
        _ => session.user,
    };
    let session = session_id(shape, number as usize);
    // No valid event is in the future of a service that loads the data at the end of the data set.
    Some(Event {
        user: user_id(shape, user),
        session,
        end,
        at: at.min(shape.ending_at),
        country: country.to_owned(),
    })
}

/// Whether the user has an unusual id, as one of eight does.
fn is_odd(user: u32) -> bool {
    user % 8 == 5
}

fn user_id(shape: &Shape, user: u32) -> String {
    match user {
        5 => "..".to_owned(),
        user if is_odd(user) => odd(user / 8),
        user => usual(shape.users[user as usize].id, false),
    }
}

fn session_id(shape: &Shape, number: usize) -> String {
    let session = &shape.sessions[number];
    let first_of_its_user = number == 0 || shape.sessions[number - 1].user != session.user;
    match session.spelling {
        Some(Ingredient::OddSessionId) if first_of_its_user => "..".to_owned(),
        Some(Ingredient::OddSessionId) => odd(number as u32),
        _ => usual(session.id, true),
    }
}

fn usual(id: u128, hyphenated: bool) -> String {
    let mut digits = Vec::with_capacity(36);
    line::hex(id, hyphenated, &mut digits);
    digits.into_iter().map(char::from).collect()
}

/// A valid id that careless code handles wrongly; different for every `number`.
fn odd(number: u32) -> String {
    match number % 16 {
        0 => format!("Zoë {number}"),
        1 => format!("Zoe\u{308} {number}"),
        2 => format!("a/b/{number}"),
        3 => format!("100%25{number}%00"),
        4 => format!("\"{number}\" \\ ' `"),
        5 => format!("😀{number}👩\u{200d}👧"),
        6 => format!("{number:0128}"),
        7 => format!("{number:010}{}", "é".repeat(59)),
        8 => format!("../{number}"),
        9 => format!(" {number} "),
        10 => format!("{number}?a=b&c=d#e+f"),
        11 => format!("<b>{number}</b>'; --"),
        12 => format!("مستخدم{number}"),
        13 => format!("{number}\u{200b}\u{2028}"),
        14 => format!("{{{number}}},[]:*"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::generate::{Dataset, GenerateArgs, Profile, Skew};

    #[test]
    fn odd_ids_are_different_and_within_the_limits() {
        let ids: HashSet<_> = (0..10_000).map(odd).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(
            ids.iter().all(|id| (1..=128).contains(&id.len()) && !id.chars().any(char::is_control))
        );
        assert!(ids.iter().filter(|id| id.len() == 128).count() > 1_000);
    }

    #[test]
    fn no_session_has_more_than_forty_facts_and_none_that_counts_lies_in_the_future() {
        for skew in [Skew::Uniform, Skew::Zipf] {
            let args = GenerateArgs {
                sessions: 20_000,
                skew,
                profile: Profile::Hostile,
                ..GenerateArgs::default()
            };
            let dataset =
                Dataset::new(&args, shared::timestamp::Timestamp::default() + 47 * 365 * 24 * HOUR);
            let shape = &dataset.shape;
            let clean = shape
                .events()
                .into_iter()
                .map(|code| event(shape, code as usize / 2, code % 2 == 1));
            let further = dataset.extras.iter().filter_map(|extra| conflict(shape, *extra));
            let mut facts = HashMap::<_, HashSet<_>>::new();
            for fact in clean.chain(further) {
                assert!(fact.at <= shape.ending_at);
                let country = (!fact.end).then_some(fact.country);
                facts
                    .entry((fact.user, fact.session))
                    .or_default()
                    .insert((fact.end, fact.at, country));
            }
            let most = facts.values().map(HashSet::len).max();
            assert!((Some(30)..=Some(40)).contains(&most), "{most:?}");
        }
    }
}
