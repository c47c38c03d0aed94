//! Two services behind a balancer that checks every second whether they are ready, and 20 clients
//! at one request a second: ten restarts leave no request unanswered.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    client::{Client, Reply, read_reply},
    service::{Service, pause},
};

const CLIENTS: usize = 20;
const RESTARTS: usize = 10;
const PACE: Duration = Duration::from_secs(1);
/// An event that gets a 200 at any time: when it is too old, it is discarded.
const EVENT: &str =
    r#"[{"user_id":"u","session_id":"s","event":"end","ts":"2026-11-28T17:00:00Z"}]"#;

/// Sends requests in turn to the services that were ready at the last check, over connections that
/// it keeps. It repeats no request.
#[derive(Default)]
struct Balancer {
    targets: Mutex<Vec<Arc<Target>>>,
    turn: AtomicUsize,
    answered: AtomicUsize,
    unanswered: Mutex<Vec<String>>,
}

struct Target {
    address: SocketAddr,
    kept: Mutex<Vec<BufReader<TcpStream>>>,
}

/// Ends the loops of all threads, also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Target {
    fn ask(&self) -> io::Result<Reply> {
        let kept = self.kept.lock().unwrap().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => BufReader::new(Client(self.address).connect()?),
        };
        let head =
            format!("POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: {}", EVENT.len());
        stream.get_mut().write_all(format!("{head}\r\n\r\n{EVENT}").as_bytes())?;
        let reply = read_reply(&mut stream)?;
        if reply.header("connection") != Some("close") {
            self.kept.lock().unwrap().push(stream);
        }
        Ok(reply)
    }

    fn is_ready(&self) -> bool {
        Client(self.address).get("/readyz").is_ok_and(|reply| reply.status == 200)
    }
}

impl Balancer {
    fn start(&self, data: &Path) -> Service {
        let service = Service::start(data, &["--drain-window", "5s"]);
        let target = Target { address: service.client().0, kept: Mutex::default() };
        self.targets.lock().unwrap().push(Arc::new(target));
        service
    }

    fn check(&self) {
        let targets = self.targets.lock().unwrap().clone();
        for target in targets.into_iter().filter(|target| !target.is_ready()) {
            self.targets.lock().unwrap().retain(|other| !Arc::ptr_eq(other, &target));
        }
    }

    fn ask(&self) {
        let target = {
            let targets = self.targets.lock().unwrap();
            Arc::clone(&targets[self.turn.fetch_add(1, Ordering::Relaxed) % targets.len()])
        };
        match target.ask() {
            Ok(reply) if reply.status == 200 => {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            other => self.unanswered.lock().unwrap().push(format!("{other:?}")),
        }
    }
}

#[test]
fn ten_restarts_behind_a_balancer_leave_no_request_unanswered() {
    let data = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (balancer, done) = (Balancer::default(), AtomicBool::new(false));
    let mut services = data.each_ref().map(|data| Some(balancer.start(data.path())));
    std::thread::scope(|scope| {
        let end = Done(&done);
        let every = |pause_between: Duration, act: fn(&Balancer)| {
            let (balancer, done) = (&balancer, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    act(balancer);
                    pause(pause_between);
                }
            });
        };
        every(PACE, Balancer::check);
        (0..CLIENTS).for_each(|_| every(PACE, Balancer::ask));
        for restart in 0..RESTARTS {
            let mut service = services[restart % 2].take().unwrap();
            service.tell_to_stop();
            assert_eq!(service.ended().code(), Some(0));
            services[restart % 2] = Some(balancer.start(data[restart % 2].path()));
        }
        drop(end);
    });
    let unanswered = balancer.unanswered.into_inner().unwrap();
    eprintln!("{} requests were answered", balancer.answered.into_inner());
    assert!(unanswered.is_empty(), "{unanswered:?}");
}
