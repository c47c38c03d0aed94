//! How far a long piece of work is, for a person: a line on standard error that appears when a second has passed and goes with
//! the work.
//!
//! Draws nothing where standard error is no terminal, and never two lines at once. Log lines go around it: see [`Lines`].

use std::{
    io::{self, IsTerminal, Write},
    ops::Deref,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over sooner needs no line.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// The line on the terminal, of which there is one.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A piece of work; its line goes when this is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Where log lines are written: standard error, above the line that is shown there.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Progress {
    /// Work of so many steps, shown by a template of indicatif's; of an unknown number with `None`.
    #[must_use]
    pub fn new(steps: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::hidden());
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let drawing = io::stderr().is_terminal().then(|| {
            let (done, waiting) = mpsc::channel();
            let drawn = bar.clone();
            // Without a thread for it there is no line, and the work goes on.
            let thread = thread::Builder::new()
                .name("progress".to_owned())
                .spawn(move || draw(&drawn, &waiting));
            thread.ok().map(|thread| (done, thread))
        });
        Self { bar, drawing: drawing.flatten() }
    }

    /// Work whose end nobody knows: `what` is waited for.
    #[must_use]
    pub fn waiting(what: impl Into<String>) -> Self {
        let waiting = Self::new(None, "{spinner} {wide_msg} {elapsed}");
        waiting.bar.set_message(what.into());
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
            // Until the line is gone: what is written next begins at the left.
            thread.join().ok();
        }
    }
}

/// Shows `bar` as soon as it is time and nothing else is shown, until `done` is closed.
fn draw(bar: &ProgressBar, done: &Receiver<()>) {
    let mut wait = PATIENCE;
    while let Err(RecvTimeoutError::Timeout) = done.recv_timeout(wait) {
        let mut shown = shown();
        if shown.is_none() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            *shown = Some(bar.clone());
            drop(shown);
            done.recv().ok();
            let mut shown = self::shown();
            bar.finish_and_clear();
            *shown = None;
            return;
        }
        wait = TICK;
    }
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &*shown() {
            Some(bar) => bar.suspend(|| io::stderr().write(text)),
            None => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
