//! Measures skewed data, each figure beside its baseline of the same run: very many countries, a
//! user with very many sessions, cheap queries beside dear ones, sessions with many facts, and a
//! country with very many starts in one hour.

use clap::ValueEnum;
use serde_json::json;

pub(crate) use self::place::Place;
use crate::report;

mod compare;
mod countries;
mod events;
mod facts;
mod fairness;
mod hour;
mod place;
mod sessions;

/// A part of the measurement, which can be run alone.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Starts and counts of 300,000 countries, beside 246 countries
    Countries,
    /// Pages and one session of a user with 1,000,000 sessions, beside a user with 1,000
    Sessions,
    /// Cheap queries beside 16 loops of each dear query, beside the same queries alone
    Fairness,
    /// Loading sessions with 50 and 64 facts, beside pairs of a start and an end
    Facts,
    /// 600,000 starts of one country in one hour, beside 246 countries
    Hour,
}

/// Measures each of `parts`, or all of them if there is none. A part that fails does not end the
/// others.
pub(crate) async fn measure(place: &Place, parts: &[Part]) -> anyhow::Result<()> {
    let parts = if parts.is_empty() { Part::value_variants() } else { parts };
    let mut failed = 0;
    for part in parts {
        let measured = match part {
            Part::Countries => countries::measure(place).await,
            Part::Sessions => sessions::measure(place).await,
            Part::Fairness => fairness::measure(place).await,
            Part::Facts => facts::measure(place).await,
            Part::Hour => hour::measure(place).await,
        };
        if let Err(error) = measured {
            failed += 1;
            report(json!({
                "figure": format!("{part:?}"), "store": place.store(), "error": format!("{error:#}"),
            }))?;
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} parts failed", parts.len());
    Ok(())
}
