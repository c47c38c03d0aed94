//! The log lines of a test.
//!
//! One subscriber collects the lines of all threads. With one for each thread, a statement that
//! another thread reaches first would be off for all threads: `tracing` asks only one subscriber.

use std::{
    cell::RefCell,
    io,
    marker::PhantomData,
    sync::{Arc, Mutex, Once},
};

thread_local! {
    /// Where the lines of this thread go.
    static HERE: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Collects log lines.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

/// Ends the collection when it is dropped, on the thread that began it.
pub struct Guard(PhantomData<*const ()>);

/// Writes lines where those of the current thread go.
struct Here;

impl Lines {
    /// Collects the lines of this thread until the guard is dropped.
    pub fn collect() -> (Self, Guard) {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER
            .call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Here).init());
        let lines = Self::default();
        HERE.set(Some(lines.clone()));
        (lines, Guard(PhantomData))
    }

    /// The lines that contain `text`.
    pub fn with(&self, text: &str) -> Vec<String> {
        let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

impl io::Write for Here {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HERE.with_borrow(|lines| match lines {
            Some(Lines(lines)) => io::Write::write(&mut *lines.lock().unwrap(), bytes),
            None => Ok(bytes.len()),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
