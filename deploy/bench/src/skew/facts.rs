//! Measures the cost of loading sessions with many facts beside that of clean data: as many events,
//! but sessions of a start and an end.

use serde_json::json;
use shared::{
    clock::Clock,
    timestamp::{HOUR, MINUTE, SECOND},
};

use super::{
    events::{EventFile, Events},
    place::Place,
};
use crate::{report, round};

/// The goals: the peak memory of the process, and the CPU time of skewed data to that of clean
/// data.
const GOAL_MEMORY_MB: u64 = 400;
const GOAL_CPU: f64 = 3.0;

/// Sessions with many facts.
struct Skewed {
    figure: &'static str,
    /// The beginning of the names of the data sets.
    name: &'static str,
    sessions: u32,
    /// The number of facts of each session: starts and ends in turn, a second apart.
    facts: u32,
    order: Order,
}

/// The order of the events.
enum Order {
    /// All facts of one session, then those of the next one.
    Sessions,
    /// The latest fact of each session, then the one before it, and so on.
    Facts,
}

const SKEWED: [Skewed; 2] = [
    Skewed {
        figure: "sessions with 50 facts, one session after the other",
        name: "fifty",
        sessions: 2_000,
        facts: 50,
        order: Order::Sessions,
    },
    Skewed {
        figure: "sessions with 64 facts, one fact of each session in turn, the latest first",
        name: "sixty_four",
        sessions: 6_000,
        facts: 64,
        order: Order::Facts,
    },
];

/// Loads clean and skewed data, each into a new store with a new process.
pub(super) async fn measure(place: &Place) -> anyhow::Result<()> {
    if place.is_cassandra() {
        // A new server needs more CPU time for the same work until its code is compiled.
        let largest = SKEWED.map(|skewed| place.scaled(skewed.sessions) * skewed.facts);
        let pairs = largest.into_iter().max().unwrap_or(0) / 2;
        place.load("facts_warming", &clean(place.events()?, pairs)?).await?;
    }
    for skewed in SKEWED {
        let sessions = place.scaled(skewed.sessions);
        let events = clean(place.events()?, sessions * skewed.facts / 2)?;
        let ordinary = place.load(&format!("{}_clean", skewed.name), &events).await?;
        let events = skewed.write(place.events()?, sessions)?;
        let loaded = place.load(&format!("{}_facts", skewed.name), &events).await?;
        let cpu = loaded.per_event(loaded.cpu.all()) / ordinary.per_event(ordinary.cpu.all());
        let memory = loaded.peak_memory_mb as f64 / ordinary.peak_memory_mb as f64;
        let disk = loaded.disk_bytes.zip(ordinary.disk_bytes);
        let disk = disk.map(|(skewed, clean)| round(skewed as f64 / clean as f64));
        report(json!({
            "figure": skewed.figure, "store": place.store(),
            "sessions": sessions, "facts_per_session": skewed.facts,
            "clean": ordinary.figure(), "skewed": loaded.figure(),
            "skewed_to_clean": { "cpu": round(cpu), "peak_memory": round(memory), "disk": disk },
            "goal": {
                "peak_memory_mb": GOAL_MEMORY_MB, "cpu": GOAL_CPU,
                "is_met": loaded.peak_memory_mb <= GOAL_MEMORY_MB && cpu <= GOAL_CPU,
            },
        }))?;
    }
    Ok(())
}

/// Writes sessions of a start and an end. The ids are as long as those of [`Skewed::write`].
fn clean(mut events: Events, sessions: u32) -> anyhow::Result<EventFile> {
    let begin = Clock::machine().now() - HOUR;
    for number in 0..sessions {
        let (user, session) = (format_args!("u{number:06}"), format_args!("s{number:06}"));
        let start = begin - i64::from(number);
        events.start(user, session, start, 0)?;
        events.end(user, session, start + MINUTE)?;
    }
    events.finish()
}

impl Skewed {
    fn write(&self, mut events: Events, sessions: u32) -> anyhow::Result<EventFile> {
        let begin = Clock::machine().now() - HOUR;
        let mut write = |number: u32, fact: u32| {
            let (user, session) = (format_args!("u{number:06}"), format_args!("s{number:06}"));
            let ts = begin - i64::from(number) + i64::from(fact) * SECOND;
            if fact.is_multiple_of(2) {
                events.start(user, session, ts, 0)
            } else {
                events.end(user, session, ts)
            }
        };
        match self.order {
            Order::Sessions => {
                for number in 0..sessions {
                    (0..self.facts).try_for_each(|fact| write(number, fact))?;
                }
            }
            Order::Facts => {
                for fact in (0..self.facts).rev() {
                    (0..sessions).try_for_each(|number| write(number, fact))?;
                }
            }
        }
        events.finish()
    }
}
