//! Services behind a balancer that sends requests to those that are ready and repeats none: no
//! restart leaves a request unanswered.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::connection::until;

use super::*;

const CLIENTS: usize = 20;
const RESTARTS: usize = 10;
/// The requests that a stopping service still gets until the balancer notices.
const LATE: usize = 2 * CLIENTS;

/// Sends requests to services in turn, over connections that it keeps.
#[derive(Default)]
struct Balancer {
    targets: Mutex<Vec<Arc<Target>>>,
    turn: AtomicUsize,
    answered: AtomicUsize,
    unanswered: AtomicUsize,
}

struct Target {
    address: SocketAddr,
    kept: Mutex<Vec<Connection>>,
    in_flight: AtomicUsize,
    last_replies: AtomicUsize,
}

impl Balancer {
    async fn ask(&self) {
        let target = {
            let targets = self.targets.lock().unwrap();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let target = Arc::clone(&targets[turn % targets.len()]);
            target.in_flight.fetch_add(1, Ordering::Relaxed);
            target
        };
        let kept = target.kept.lock().unwrap().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(target.address).await,
        };
        connection.send_if_open(bare("GET", "/hello")).await;
        match connection.reply().await {
            Some(reply) if reply.status == 200 => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                if reply.header("connection") == Some("close") {
                    target.last_replies.fetch_add(1, Ordering::Relaxed);
                } else {
                    target.kept.lock().unwrap().push(connection);
                }
            }
            _ => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
        target.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Starts a service and adds it when it is ready.
    async fn add(&self) -> (Server, Arc<Target>) {
        let hello = Route::get("/hello", Access::Public, async |_, _| "hello".into_response());
        let router = reporting(Ok(())).with(&Arc::new(()), vec![hello]);
        let options = ServeOptions { drain_window: Duration::MAX, ..ServeOptions::default() };
        let server = Server::start(router, options).await;
        let address = server.address;
        until_ready_is(address, true).await;
        let kept = Mutex::default();
        let (in_flight, last_replies) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let target = Arc::new(Target { address, kept, in_flight, last_replies });
        self.targets.lock().unwrap().push(Arc::clone(&target));
        (server, target)
    }

    /// Stops a service, and removes it when it is not ready any more.
    async fn remove(&self, (server, target): (Server, Arc<Target>)) {
        let Server { address, stop, served } = server;
        let (hurry, hurried) = oneshot::channel();
        let window = DrainEnd::when(async {
            hurried.await.ok();
        });
        stop.send(window).ok().unwrap();
        until_ready_is(address, false).await;
        until(|| target.last_replies.load(Ordering::Relaxed) >= LATE).await;
        self.targets.lock().unwrap().retain(|other| !Arc::ptr_eq(other, &target));
        until(|| target.in_flight.load(Ordering::Relaxed) == 0).await;
        hurry.send(()).unwrap();
        ended(served).await;
    }
}

async fn until_ready_is(address: SocketAddr, wanted: bool) {
    let checked = tokio::time::timeout(LIMIT, async {
        while (ask(address, bare("GET", "/readyz")).await.status == 200) != wanted {}
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn no_request_is_unanswered_while_services_behind_a_balancer_are_restarted() {
    let balancer = Arc::new(Balancer::default());
    let mut services = [Some(balancer.add().await), Some(balancer.add().await)];
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (balancer, done) = (Arc::clone(&balancer), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    balancer.ask().await;
                }
            })
        })
        .collect();
    for restart in 0..RESTARTS {
        let service = &mut services[restart % 2];
        balancer.remove(service.take().unwrap()).await;
        *service = Some(balancer.add().await);
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(balancer.unanswered.load(Ordering::Relaxed), 0);
    assert!(balancer.answered.load(Ordering::Relaxed) > RESTARTS * LATE);
}
