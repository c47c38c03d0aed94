//! The progress of long work, as a line on standard error. The line appears after one second and is
//! removed when the work ends.
//!
//! Draws nothing if standard error is not a terminal, and never two lines at once. Log lines appear
//! above it: see [`Lines`].

use std::{
    io::{self, IsTerminal, Write},
    ops::Deref,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// Shorter work shows no line.
const DELAY: Duration = Duration::from_secs(1);
/// The interval at which the line is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// The only line on the terminal.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The progress of one piece of work. Dropping it removes its line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The writer of log lines: standard error, above the progress line.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Progress {
    /// Work of `steps` steps (`None` if unknown), shown with a template of `indicatif`.
    #[must_use]
    pub fn new(steps: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::hidden());
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let drawing = io::stderr().is_terminal().then(|| {
            let (done, waiting) = mpsc::channel();
            let drawn = bar.clone();
            // If the thread cannot start, the work continues without a line.
            let thread = thread::Builder::new()
                .name("progress".to_owned())
                .spawn(move || draw(&drawn, &waiting));
            thread.ok().map(|thread| (done, thread))
        });
        Self { bar, drawing: drawing.flatten() }
    }

    /// Work of unknown length, shown as `message` with a spinner.
    #[must_use]
    pub fn waiting(message: impl Into<String>) -> Self {
        let waiting = Self::new(None, "{spinner} {wide_msg} {elapsed}");
        waiting.bar.set_message(message.into());
        waiting
    }
}

impl Deref for Progress {
    type Target = ProgressBar;

    fn deref(&self) -> &ProgressBar {
        &self.bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.drawing.take() {
            drop(done);
            // Wait until the line is removed, so that the next output starts in the first column.
            thread.join().ok();
        }
    }
}

/// Shows `bar` after the delay, when no other line is shown, until `done` is closed.
fn draw(bar: &ProgressBar, done: &Receiver<()>) {
    let mut wait = DELAY;
    while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(wait) {
        let mut shown = SHOWN.lock();
        if shown.is_none() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            *shown = Some(bar.clone());
            drop(shown);
            done.recv().ok();
            let mut shown = SHOWN.lock();
            bar.finish_and_clear();
            *shown = None;
            return;
        }
        wait = TICK;
    }
}

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &*SHOWN.lock() {
            Some(bar) => bar.suspend(|| io::stderr().write(text)),
            None => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
