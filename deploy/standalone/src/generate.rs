//! `bookend generate`: an artificial data set with the shape of the original, as JSON lines.
//!
//! The original cannot be published, so this data replaces it in examples, tests and benchmarks. At
//! the default size, the clean profile has exactly the original's figures (see `data/README.md`).
//! The same arguments give the same bytes on every machine: nothing depends on floating point, on
//! the order of a hash map or on how another crate draws from a range.
//!
//! Reads the clock only for the default of `--ending-at`. Sends nothing: see [`crate::load`].

use shared::timestamp::Timestamp;

pub use self::{
    args::{GenerateArgs, Profile, Skew},
    output::run,
};
use self::{ingredient::Extra, shape::Shape};

mod args;
mod draw;
mod fault;
mod hostile;
pub mod ingredient;
mod line;
mod output;
mod shape;
mod spelling;

/// A generated data set: compact tables, from which each line is written on demand.
#[derive(Debug)]
pub struct Dataset {
    shape: Shape,
    profile: Profile,
    extras: Vec<Extra>,
    /// The lines in order. Session `n` has the start `2 * n` and the end `2 * n + 1`; higher
    /// numbers are the extras.
    order: Vec<u32>,
}

/// The lines of a [`Dataset`] in order, each without a newline.
#[derive(Debug)]
pub struct Lines {
    dataset: Dataset,
    next: usize,
}

impl Dataset {
    /// Draws the data set of `args`. No event that should be accepted is later than `ending_at`,
    /// which replaces `args.ending_at` and is cut to the second.
    #[must_use]
    pub fn new(args: &GenerateArgs, ending_at: Timestamp) -> Self {
        let mut shape = Shape::draw(args, ending_at);
        let mut order = shape.events();
        let extras = match args.profile {
            Profile::Clean => Vec::new(),
            Profile::Hostile => {
                hostile::spell(&mut shape.sessions, args.seed);
                hostile::draw(&shape, args.seed, &mut order)
            }
        };
        draw::Draw::new(args.seed, draw::Stream::Order).shuffle(&mut order);
        if args.profile == Profile::Hostile {
            order = hostile::repeat_some_at_once(order, args.seed);
        }
        Self { shape, profile: args.profile, extras, order }
    }

    /// The number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no lines, which no arguments lead to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The lines in order.
    #[must_use]
    pub fn into_lines(self) -> Lines {
        Lines { dataset: self, next: 0 }
    }

    /// Appends line `position` to `out`, without a newline.
    fn write(&self, position: usize, out: &mut Vec<u8>) {
        let code = self.order[position] as usize;
        match (code.checked_sub(2 * self.shape.sessions.len()), self.profile) {
            (None, Profile::Clean) => self.shape.write_event(code / 2, code % 2 == 1, out),
            (None, Profile::Hostile) => {
                hostile::write_event(&self.shape, code / 2, code % 2 == 1, out)
            }
            (Some(extra), _) => hostile::write(&self.shape, self.extras[extra], out),
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
