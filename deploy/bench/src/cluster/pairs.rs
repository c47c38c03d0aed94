//! Compares two builds of the programs, which alternate, so that a change in the machine's speed
//! affects both.

use std::iter::zip;

use serde_json::json;

use super::{
    http,
    programs::{Programs, flags, median, setup},
    rounds::{Backlog, Pass, WARMING},
    stack::Stack,
};
use crate::{machine::Machine, report, round, service::Service};

/// Batches of ten events that each endpoint receives in a pair.
const BATCHES: u32 = 40_000;
const TOPIC: &str = "pairs";
const FIGURES: [&str; 2] = [
    "POST of 10 events to the topic, 16 connections",
    "from the topic to the last visible session",
];

/// The same work, done by the old and the new programs.
struct Pair {
    old: Pass,
    new: Pass,
}

/// Runs `count` pairs of each figure, after some that warm the servers up.
pub(super) async fn measure(
    old: &Programs,
    new: &Programs,
    stack: &Stack,
    backlog: &mut Backlog<'_>,
    count: usize,
) -> anyhow::Result<()> {
    setup(new, stack, TOPIC)?;
    let mut figures = FIGURES.map(|figure| (figure, Vec::new()));
    for number in 0..WARMING + count {
        // The second finds the servers warmer.
        let passes = if number % 2 == 0 {
            let old = run(old, stack, backlog).await?;
            (old, run(new, stack, backlog).await?)
        } else {
            let new = run(new, stack, backlog).await?;
            (run(old, stack, backlog).await?, new)
        };
        for ((figure, pairs), (old, new)) in figures.iter_mut().zip(zip(passes.0, passes.1)) {
            report(json!({
                "figure": figure, "is_warming": number < WARMING, "old": old.figure(), "new": new.figure(),
            }))?;
            pairs.push(Pair { old, new });
        }
    }
    for (figure, mut pairs) in figures {
        pairs.drain(..WARMING);
        report(json!({
            "figure": figure, "pairs": count,
            "new_to_old": {
                "events_per_second": ratio(&pairs, |pass| pass.events_per_second),
                "cpu_seconds": ratio(&pairs, |pass| pass.cpu_seconds),
                "servers_cpu_seconds": ratio(&pairs, |pass| pass.servers_cpu_seconds),
            },
        }))?;
    }
    Ok(())
}

/// One pass of each of the [`FIGURES`].
async fn run(
    programs: &Programs,
    stack: &Stack,
    backlog: &mut Backlog<'_>,
) -> anyhow::Result<[Pass; 2]> {
    Ok([post(programs, stack).await?, backlog.consume(programs).await?.0])
}

/// Posts events to an endpoint of these programs.
async fn post(programs: &Programs, stack: &Stack) -> anyhow::Result<Pass> {
    let mut args = flags(stack, TOPIC);
    args.extend(["--role=http".to_owned(), format!("--kafka-topic={TOPIC}")]);
    let endpoint = Service::start(&programs.ingest, args, &programs.client).await?;
    let (servers_before, machine) = (stack.cpu_seconds()?, Machine::read()?);
    Ok(Pass {
        events_per_second: http::measure(&endpoint, BATCHES).await?,
        cpu_seconds: endpoint.cpu_seconds()?,
        servers_cpu_seconds: stack.cpu_seconds()? - servers_before,
        steal_percent: machine.since()?.stolen,
    })
}

/// The median of new/old, the lowest and the highest.
fn ratio(pairs: &[Pair], figure: fn(&Pass) -> f64) -> [f64; 3] {
    let mut ratios: Vec<f64> =
        pairs.iter().map(|pair| figure(&pair.new) / figure(&pair.old)).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios.first().copied(), ratios.last().copied());
    [median(ratios), least.unwrap_or_default(), most.unwrap_or_default()].map(round)
}
