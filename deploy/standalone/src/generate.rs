//! `bookend generate`: a made-up data set of the original one's shape, as JSON lines, from a seed number.
//!
//! The original cannot be passed on, so this stands for it: in examples, in tests and in measurements. At the default size the
//! clean profile has exactly the original's figures (see `data/README.md`). The same arguments give the same bytes on every
//! machine: nothing here depends on floating point, on a hash map's order or on how another crate draws from a range.
//!
//! Never reads the clock but for the default of `--ending-at`, and never sends anything: see [`crate::load`].

use std::path::PathBuf;

use shared::timestamp::Timestamp;

pub use self::output::run;
use self::{hostile::Extra, shape::Shape};

mod draw;
mod fault;
mod hostile;
pub mod ingredient;
mod line;
mod output;
mod shape;
mod spelling;

/// What to generate, and where to.
#[derive(clap::Args, Clone, Debug)]
pub struct GenerateArgs {
    /// How many sessions; the default makes the original's 1,001,169 events
    #[arg(long, value_name = "N", default_value_t = shape::ORIGINAL_SESSIONS, value_parser = clap::value_parser!(u32).range(1..=shape::MOST_SESSIONS))]
    pub sessions: u32,

    /// The seed number: the same one gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// When the thirty days end (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    pub ending_at: Option<Timestamp>,

    /// How sessions spread over users, and users over countries
    #[arg(long, value_enum, default_value_t = Skew::Uniform)]
    pub skew: Skew,

    /// Whether the events are as they should be
    #[arg(long, value_enum, default_value_t = Profile::Clean)]
    pub profile: Profile,

    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Say what was made as one line of JSON, on standard output
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// How sessions spread over users, and users over countries.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// 1 to 50 sessions a user, every country alike
    Uniform,
    /// A few users and a few countries have most of them
    Zipf,
}

/// Whether the events are as they should be.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Every line is a valid event, and no two contradict each other
    Clean,
    /// The same sessions amid contradictions, repetitions, odd spellings and lines that are no event
    Hostile,
}

/// A generated data set: compact tables, from which each line is written when it is asked for.
#[derive(Debug)]
pub struct Dataset {
    shape: Shape,
    extras: Vec<Extra>,
    /// The lines in their order: twice a session's number is its start, one more its end, and what follows are the extras.
    order: Vec<u32>,
}

/// The lines of a [`Dataset`] in order, each without its newline.
#[derive(Debug)]
pub struct Lines {
    dataset: Dataset,
    next: usize,
}

impl Default for GenerateArgs {
    fn default() -> Self {
        Self {
            sessions: shape::ORIGINAL_SESSIONS,
            seed: 1,
            ending_at: None,
            skew: Skew::Uniform,
            profile: Profile::Clean,
            output: None,
            json: false,
        }
    }
}

impl Dataset {
    /// Draws the data set that `args` describe. No event that should be accepted is later than `ending_at`, which stands
    /// for `args.ending_at`; it is cut to the second.
    #[must_use]
    pub fn new(args: &GenerateArgs, ending_at: Timestamp) -> Self {
        let shape = Shape::draw(args, ending_at);
        let mut order = shape.events();
        let extras = match args.profile {
            Profile::Clean => Vec::new(),
            Profile::Hostile => hostile::draw(&shape, args.seed, &mut order),
        };
        draw::Draw::new(args.seed, draw::Stream::Order).shuffle(&mut order);
        if args.profile == Profile::Hostile {
            order = hostile::repeat_some_at_once(order, args.seed);
        }
        Self { shape, extras, order }
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no line at all, which no arguments lead to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The lines in their order.
    #[must_use]
    pub fn into_lines(self) -> Lines {
        Lines { dataset: self, next: 0 }
    }

    /// Appends line `position` to `out`, without a newline.
    fn write(&self, position: usize, out: &mut Vec<u8>) {
        let code = self.order[position] as usize;
        match code.checked_sub(2 * self.shape.sessions.len()) {
            None => self.shape.write_event(code / 2, code % 2 == 1, out),
            Some(extra) => hostile::write(&self.shape, self.extras[extra], out),
        }
    }
}

impl Iterator for Lines {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        (self.next < self.dataset.len()).then(|| {
            let mut line = Vec::with_capacity(192);
            self.dataset.write(self.next, &mut line);
            self.next += 1;
            line
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.dataset.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Lines {}

#[cfg(test)]
mod tests;
