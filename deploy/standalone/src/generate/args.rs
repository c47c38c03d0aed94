//! The arguments of `bookend generate`.

use std::path::PathBuf;

use shared::timestamp::Timestamp;

/// The sessions of the original: 500,582 complete, 2 without an end, 3 without a start.
pub(super) const ORIGINAL_SESSIONS: u32 = 500_587;
/// More sessions would take gigabytes to shuffle.
const MOST_SESSIONS: i64 = 100_000_000;

/// What to generate, and where to write it.
#[derive(clap::Args, Clone, Debug)]
pub struct GenerateArgs {
    /// Number of sessions; the default gives 1,001,169 events, as in the reference data
    #[arg(long, value_name = "N", default_value_t = ORIGINAL_SESSIONS, value_parser = clap::value_parser!(u32).range(1..=MOST_SESSIONS))]
    pub sessions: u32,

    /// Seed of the random numbers; the same seed and --ending-at give the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// End of the thirty days of events (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    pub ending_at: Option<Timestamp>,

    /// How sessions spread over users and countries
    #[arg(long, value_enum, default_value_t = Skew::Uniform)]
    pub skew: Skew,

    /// Kind of events
    #[arg(long, value_enum, default_value_t = Profile::Clean)]
    pub profile: Profile,

    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print a report as one line of JSON to standard output
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// The distribution of sessions over users, and of users over countries.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// 1 to 50 sessions per user, countries with equal shares
    Uniform,
    /// A few users and a few countries have most sessions
    Zipf,
}

/// The kind of events.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Every line is a valid event, and no two events contradict each other
    Clean,
    /// The same sessions with contradictions, repetitions, unusual spellings and invalid lines
    Hostile,
}

impl Default for GenerateArgs {
    fn default() -> Self {
        Self {
            sessions: ORIGINAL_SESSIONS,
            seed: 1,
            ending_at: None,
            skew: Skew::Uniform,
            profile: Profile::Clean,
            output: None,
            json: false,
        }
    }
}
