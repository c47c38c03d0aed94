//! The figures of the data set, and that it is the same on every machine.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use shared::{
    event::SessionEvent,
    timestamp::{DAY, SECOND},
};

use super::{
    ingredient::Ingredient,
    shape::{Halves, Session},
    *,
};

/// 2016-12-02T15:00:00Z, the end of the window of the original.
const ORIGINAL_END: i64 = 1_480_690_800_000;

fn dataset(args: &GenerateArgs) -> Dataset {
    Dataset::new(args, Timestamp::from_millis(ORIGINAL_END).unwrap())
}

fn sized(sessions: u32) -> GenerateArgs {
    GenerateArgs { sessions, ..GenerateArgs::default() }
}

fn hostile(sessions: u32) -> GenerateArgs {
    GenerateArgs { profile: Profile::Hostile, ..sized(sessions) }
}

fn text(args: &GenerateArgs) -> Vec<u8> {
    dataset(args).into_lines().flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
}

/// FNV-1a, written out because it is short.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_default_has_exactly_the_original_s_figures() {
    let dataset = dataset(&GenerateArgs::default());
    let Dataset { shape, extras, order, .. } = &dataset;
    assert_eq!((dataset.len(), extras.len()), (1_001_169, 0));

    let with = |halves| shape.sessions.iter().filter(|session| session.halves == halves).count();
    assert_eq!([Halves::Both, Halves::StartAlone, Halves::EndAlone].map(with), [500_582, 2, 3]);
    assert_eq!(order.iter().filter(|code| **code % 2 == 0).count(), 500_584);
    assert_eq!(order.iter().filter(|code| **code % 2 == 1).count(), 500_585);
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), 1_001_169, "no event twice");
    assert_eq!(
        shape.sessions.iter().map(|session| session.id).collect::<HashSet<_>>().len(),
        500_587
    );
    assert_eq!(shape.users.iter().map(|user| user.id).collect::<HashSet<_>>().len(), 19_615);

    let mut counts = BTreeMap::<u32, u32>::new();
    shape.sessions.chunk_by(|one, other| one.user == other.user).for_each(|of_a_user| {
        *counts.entry(of_a_user.len() as u32).or_default() += 1;
    });
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(counts.values().sum::<u32>(), 19_615);
    assert!(
        counts.values().all(|users| (300..=490).contains(users)),
        "each number about 392 times: {counts:?}"
    );

    let used: BTreeSet<_> = shape.sessions.iter().map(|session| shape.country(session)).collect();
    assert_eq!((used.len(), shape.countries.len()), (246, 246));
    assert!(["NA", "Code", "(.uk)"].iter().all(|country| used.contains(country)));

    let starts = || shape.sessions.iter().filter(|session| session.halves != Halves::EndAlone);
    let mut seconds = HashMap::<_, u64>::new();
    starts().for_each(|session| {
        *seconds.entry((shape.country(session), shape.started_at(session))).or_default() += 1
    });
    let pairs: u64 = seconds.values().map(|starts| starts * (starts - 1) / 2).sum();
    assert!(
        (150..=260).contains(&pairs),
        "about 200 pairs of starts share country and second: {pairs}"
    );

    let mut of_days = [0_u32; 30];
    starts().for_each(|session| {
        of_days[((shape.started_at(session) - (shape.ending_at - 30 * DAY)) / DAY) as usize] += 1
    });
    assert!(
        of_days.iter().all(|starts| (16_000..=17_400).contains(starts)),
        "spread evenly: {of_days:?}"
    );

    let lengths =
        |session: &Session| (shape.ended_at(session) - shape.started_at(session)) / SECOND;
    assert_eq!(shape.sessions.iter().map(lengths).min(), Some(120));
    assert_eq!(shape.sessions.iter().map(lengths).max(), Some(28_800));
    assert!(shape.sessions.iter().all(|session| shape.ended_at(session) <= shape.ending_at));

    let mut seen = HashSet::new();
    let early = order.iter().filter(|code| {
        **code % 2 == 0 && !seen.insert(*code / 2) || **code % 2 == 1 && seen.insert(*code / 2)
    });
    let early = early.filter(|code| **code % 2 == 1).count();
    assert!(
        (248_000..=252_600).contains(&early),
        "about half of the ends stand before their start: {early}"
    );
}

#[test]
fn the_lines_say_what_the_figures_promise() {
    let (mut starts, mut ends, mut countries) = (HashMap::new(), HashMap::new(), HashMap::new());
    for line in dataset(&sized(10_000)).into_lines() {
        let event: Value = serde_json::from_slice(&line).unwrap();
        let field = |name: &str| event[name].as_str().unwrap().to_owned();
        let (user, session, ts) = (field("user_id"), field("session_id"), field("ts"));
        assert!(user.len() == 32 && user.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(session.len() == 36 && session.split('-').map(str::len).eq([8, 4, 4, 4, 12]));
        assert!(
            ts.len() == 19 && *"2016-11-02T15:00:00" <= *ts && *ts <= *"2016-12-02T15:00:00",
            "{ts}"
        );
        let known = match event["event"].as_str() {
            Some("start") => {
                let country =
                    countries.entry(user.clone()).or_insert_with(|| field("country")).clone();
                assert_eq!(country, field("country"), "one country for each user");
                starts.insert((user, session), ts)
            }
            _ => {
                assert_eq!((event["event"].as_str(), event.get("country")), (Some("end"), None));
                ends.insert((user, session), ts)
            }
        };
        assert_eq!(known, None, "no event twice");
    }
    // The open sessions and the orphans are rounded up.
    assert_eq!((starts.len(), ends.len(), countries.len()), (9_999, 9_999, 392));
    let complete =
        starts.iter().filter(|(key, started)| ends.get(key).is_some_and(|ended| ended > *started));
    assert_eq!(complete.count(), 9_998);
}

#[test]
fn any_number_of_sessions_is_made_exactly() {
    for profile in [Profile::Clean, Profile::Hostile] {
        for skew in [Skew::Uniform, Skew::Zipf] {
            for sessions in [1, 2, 10, 38, 49, 50, 51, 99, 100, 101, 1_000, 6_000] {
                let dataset = dataset(&GenerateArgs { skew, profile, ..sized(sessions) });
                assert_eq!(dataset.shape.sessions.len(), sessions as usize);
                let halves = if sessions < 100 { 0 } else { 2 };
                assert_eq!(dataset.shape.events().len(), 2 * sessions as usize - halves);
                let of_users = dataset.shape.sessions.chunk_by(|one, other| one.user == other.user);
                assert_eq!(of_users.count(), dataset.shape.users.len(), "every user has a session");
            }
        }
    }
}

#[test]
fn the_sample_is_what_its_description_says() {
    let sample = include_bytes!("../../../../data/sample.ndjson");
    assert!(
        text(&sized(200)) == sample,
        "data/sample.ndjson is not what `generate --sessions 200` writes"
    );
}

#[test]
fn the_same_arguments_give_the_same_bytes_for_ever() {
    let zipf = GenerateArgs { skew: Skew::Zipf, seed: 7, ..sized(1_000) };
    assert_eq!(
        [&sized(1_000), &zipf, &hostile(1_000)].map(|args| checksum(&text(args))),
        [10_418_501_526_279_397_128, 12_443_752_864_461_879_175, 12_882_257_893_491_964_661]
    );
}

#[test]
fn another_seed_gives_other_events() {
    assert_ne!(text(&sized(10)), text(&GenerateArgs { seed: 2, ..sized(10) }));
}

#[test]
fn a_skewed_set_has_a_few_users_and_countries_with_most_sessions() {
    let dataset = dataset(&GenerateArgs { skew: Skew::Zipf, ..sized(100_000) });
    let mut counts: Vec<_> = dataset
        .shape
        .sessions
        .chunk_by(|one, other| one.user == other.user)
        .map(<[_]>::len)
        .collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    assert!(
        (9_000..14_000).contains(&counts[0]) && counts[1] * 3 < counts[0] * 2,
        "{:?}",
        &counts[..9]
    );
    let mut of_countries = [0_u32; 256];
    dataset.shape.users.iter().for_each(|user| of_countries[usize::from(user.country)] += 1);
    of_countries.sort_unstable();
    assert!(of_countries[10] > 0 && of_countries[255] > 500, "all 246 are used: {of_countries:?}");
}

#[test]
fn a_hostile_set_has_every_ingredient_even_when_it_is_small() {
    let dataset = dataset(&hostile(1_000));
    let has = |ingredient| {
        dataset.extras.iter().any(|extra| extra.ingredient == ingredient)
            || dataset.shape.sessions.iter().any(|session| session.spelling == Some(ingredient))
    };
    let faults = Ingredient::FAULTS.map(|(fault, _)| fault);
    for ingredient in Ingredient::SPELLINGS.iter().chain(&Ingredient::CONFLICTS).chain(&faults) {
        assert!(has(*ingredient), "{ingredient:?}");
    }
    let mut seen = HashSet::new();
    assert!(dataset.order.iter().any(|code| !seen.insert(code)), "far repetitions");
    assert!(dataset.order.windows(2).any(|two| two[0] == two[1]), "repetitions at once");
}

#[test]
fn every_hostile_line_is_one_line_and_not_a_blank_one() {
    for line in dataset(&hostile(5_000)).into_lines() {
        assert!(!line.contains(&b'\n') && !line.trim_ascii().is_empty());
    }
}

#[test]
fn valid_events_are_json_however_they_are_spelled() {
    let dataset = dataset(&hostile(2_000));
    let mut line = Vec::new();
    for number in 0..2_000 {
        for end in [false, true] {
            line.clear();
            dataset.shape.write_event(number, end, &mut line);
            let event: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(event["event"], if end { "end" } else { "start" });
            assert!(
                event["session_id"].is_string()
                    && (event["user_id"].is_string() || event["player_id"].is_string())
            );
        }
    }
}

#[test]
fn each_line_of_a_hostile_set_is_taken_or_refused_as_its_ingredient_says() {
    let dataset = dataset(&hostile(5_000));
    let mut line = Vec::new();
    for (position, code) in dataset.order.iter().enumerate() {
        line.clear();
        dataset.write(position, &mut line);
        let event = SessionEvent::parse(&line).map_err(|rejection| rejection.code);
        let refused = event
            .and_then(|event| event.judge(dataset.shape.ending_at, dataset.shape.ending_at))
            .err();
        let extra = (*code as usize).checked_sub(2 * dataset.shape.sessions.len());
        let ingredient = extra.map(|extra| dataset.extras[extra].ingredient);
        let fault = Ingredient::FAULTS.iter().find(|(fault, _)| Some(*fault) == ingredient);
        assert_eq!(refused, fault.map(|(_, code)| *code), "{}", String::from_utf8_lossy(&line));
    }
}
