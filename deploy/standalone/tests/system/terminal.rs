//! Output on a terminal, which a file does not get: colours and progress lines.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use crate::{
    data::{ENDING_AT, generate, joined},
    service::{BOOKEND, Service, eventually},
};

/// A program whose standard output and standard error are read together.
struct Screen {
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Screen {
    /// Runs `bookend` with `args` on a terminal of 80 columns.
    fn terminal(args: &str, variables: &[(&str, &str)]) -> Self {
        // A test run may ignore hang-ups (`nohup`), which programs inherit.
        let line = format!("stty cols 80 rows 24; exec env --default-signal=HUP {BOOKEND} {args}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        Self::of(script, variables)
    }

    /// The same with a pipe.
    fn pipe(args: &str, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {BOOKEND} {args} 2>&1")]);
        Self::of(shell, variables)
    }

    fn of(mut command: Command, variables: &[(&str, &str)]) -> Self {
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm")
            .envs(variables.iter().copied());
        // Open and silent: the end of the input would be a keystroke on the terminal.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (seen, mut output) =
            (Arc::new(Mutex::new(String::new())), child.stdout.take().unwrap());
        let seeing = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut some) {
                seeing.lock().unwrap().push_str(&String::from_utf8_lossy(&some[..read]));
            }
        });
        Self { child, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `text` appears.
    fn shows(&self, text: &str) {
        eventually(&format!("{text:?} is seen"), || self.seen().contains(text).then_some(()));
    }

    /// Returns all output after the program has exited.
    fn ended(mut self) -> (ExitStatus, String) {
        let status = eventually("it ends by itself", || self.child.try_wait().unwrap());
        // The reader has the other handle until the end.
        eventually("everything was read", || (Arc::strong_count(&self.seen) == 1).then_some(()));
        (status, self.seen())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The end of its terminal hangs up a program.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const ESCAPE: char = '\x1b';

#[test]
fn help_is_coloured_at_a_terminal_that_does_not_refuse() {
    let (_, help) = Screen::terminal("--help", &[]).ended();
    assert!(help.contains("Usage") && help.contains(ESCAPE), "{help:?}");
    for (_, help) in [
        Screen::terminal("--help", &[("NO_COLOR", "1")]).ended(),
        Screen::pipe("--help", &[]).ended(),
    ] {
        assert!(help.contains("Usage") && !help.contains(ESCAPE), "{help:?}");
    }
}

#[test]
fn log_lines_are_coloured_at_a_terminal_that_does_not_refuse() {
    let data = tempfile::tempdir().unwrap();
    let serve = format!("serve --listen 127.0.0.1:0 --data-dir {}", data.path().display());
    let served = |screen: Screen| {
        screen.shows("serving");
        screen.seen()
    };
    let seen = served(Screen::terminal(&serve, &[]));
    assert!(seen.contains(ESCAPE), "{seen:?}");
    let other = tempfile::tempdir().unwrap();
    let serve = format!("serve --listen 127.0.0.1:0 --data-dir {}", other.path().display());
    let mut screen = Screen::pipe(&serve, &[]);
    screen.shows("serving");
    assert!(!screen.seen().contains(ESCAPE), "{:?}", screen.seen());
    screen.child.kill().unwrap();
    screen.child.wait().unwrap();
    let seen = served(Screen::terminal(&serve, &[("NO_COLOR", "1")]));
    assert!(!seen.contains(ESCAPE), "{seen:?}");
}

#[test]
fn what_takes_longer_than_a_second_shows_how_far_it_is_and_leaves_nothing_behind() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(data.path(), &["--as-of", ENDING_AT]);
    let pipe = dir.path().join("events");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let screen = Screen::terminal(
        &format!("load {} --url http://{}", pipe.display(), service.client().0),
        &[],
    );
    let mut events = OpenOptions::new().write(true).open(&pipe).unwrap();
    events.write_all(&joined(&generate("clean", 10, 1))).unwrap();
    screen.shows("loading");
    drop(events);
    let (status, seen) = screen.ended();
    assert!(status.success(), "{seen:?}");
    let last = last_lines(&seen);
    assert!(last[0].starts_with("sent"), "{seen:?}");
    service.stop();
}

/// The reader of a pipe, such as `bookend load -`, shows the progress itself.
#[test]
fn generate_shows_its_progress_only_if_the_lines_go_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events");
    let generate = |to: &str| {
        let (status, seen) =
            Screen::terminal(&format!("generate --sessions 300000 {to}"), &[]).ended();
        assert!(status.success(), "{seen:?}");
        seen.contains("drawing") || seen.contains("generating")
    };
    assert!(generate(&format!("> {}", file.display())));
    assert!(!generate("| cat > /dev/null"));
}

/// A command that waits at the terminal says for what.
#[test]
fn a_load_from_the_terminal_says_that_it_waits_for_events() {
    let screen = Screen::terminal("load - --url http://127.0.0.1:9", &[]);
    screen.shows("reading events from the terminal; end them with Ctrl-D");
}

/// Returns the final content of the screen: the text of each line since it was last cleared.
fn last_lines(seen: &str) -> Vec<String> {
    let lines = seen
        .split("\r\n")
        .map(|line| line.rsplit("\x1b[2K").next().unwrap().trim_start_matches('\r'));
    lines.map(str::to_owned).collect()
}

#[test]
fn who_waits_for_servers_is_told_for_which_and_log_lines_are_not_mixed_with_it() {
    // A server that accepts a connection and never replies.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let setup = format!("setup --store cassandra --cassandra-nodes {address}");
    let waited = format!("setting up Cassandra at {address}");
    // By default the driver writes no lines.
    let lines = ("BOOKEND_LOG_LEVEL", "scylla=warn,info");
    let piped = Screen::pipe(&setup, &[lines]);
    let first = server.accept().unwrap();
    let terminal = Screen::terminal(&setup, &[("NO_COLOR", "1"), lines]);
    let second = server.accept().unwrap();
    // By then the earlier one has waited for over a second too.
    terminal.shows(&waited);
    drop((server, first, second));

    let (status, seen) = terminal.ended();
    assert_eq!(status.code(), Some(1), "{seen:?}");
    let last = last_lines(&seen);
    assert!(!last.iter().any(|line| line.contains(&waited)), "the line has gone: {last:?}");
    assert!(last.iter().any(|line| line.starts_with("bookend: ")), "{last:?}");
    let logged: Vec<_> = last.iter().filter(|line| line.contains(" WARN ")).collect();
    assert!(
        !logged.is_empty() && logged.iter().all(|line| line.starts_with("20")),
        "each begins with its time: {last:?}"
    );

    let (status, written) = piped.ended();
    assert_eq!(status.code(), Some(1), "{written}");
    assert!(!written.contains(&waited) && !written.contains(ESCAPE), "{written}");
    assert!(written.contains(" WARN ") && written.contains("bookend: "), "{written}");
}
