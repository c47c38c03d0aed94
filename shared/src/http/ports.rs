//! The ports of a process: the main one, and one for operators if `--operations-listen` asks for
//! it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join;
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    Listener,
    gate::Gate,
    options::{DrainEnd, ServeOptions},
    router::{Router, Routes},
    serve,
};
use crate::tls::Tls;

/// The sockets that a process listens on.
#[derive(Debug)]
pub struct Listeners {
    /// The main port.
    pub main: TcpListener,
    /// The port for operators.
    pub operations: Option<TcpListener>,
}

/// What a process serves, and where.
pub struct Ports {
    main: Port,
    operations: Option<Port>,
}

struct Port {
    listener: Listener,
    routes: Routes,
}

impl From<TcpListener> for Listeners {
    fn from(main: TcpListener) -> Self {
        Self { main, operations: None }
    }
}

impl Ports {
    /// Serves `main` and `probes` behind `gate`: on one port, or the probes on that for operators
    /// and nothing else there.
    pub fn new(
        listeners: Listeners,
        gate: Gate,
        main: Router,
        probes: Router,
    ) -> serde_json::Result<Self> {
        let Listeners { main: listener, operations } = listeners;
        let (main, operations) = match operations {
            None => (main.and(probes), None),
            Some(listener) => {
                let routes = probes.behind(Arc::new(gate.for_operations())).into_bare_filter();
                (main, Some(Port { listener: listener.into(), routes }))
            }
        };
        let routes = main.behind(Arc::new(gate)).into_filter()?;
        Ok(Self { main: Port { listener: listener.into(), routes }, operations })
    }

    /// The same with TLS on the main port, if `tls` is given.
    #[must_use]
    pub fn secured(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.main.listener.tls = tls;
        self
    }

    /// The address of the main port.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.main.listener.tcp.local_addr()
    }

    /// Serves both ports until `shutdown` resolves, as [`serve`] does. The port for operators ends
    /// after the other one.
    pub async fn serve(self, options: ServeOptions, shutdown: impl Future<Output = DrainEnd>) {
        let Self { main, operations } = self;
        let Some(operations) = operations else {
            return serve(main.listener, main.routes, options, shutdown).await;
        };
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let stop = async {
            let drain_end = shutdown.await;
            begin.send(()).ok();
            drain_end
        };
        let main = async {
            serve(main.listener, main.routes, options, stop).await;
            drop(end);
        };
        let stop = async {
            begun.await.ok();
            DrainEnd::when(async {
                ended.await.ok();
            })
        };
        let options = ServeOptions { drain_window: Duration::MAX, ..options };
        join(main, serve(operations.listener, operations.routes, options, stop)).await;
    }
}
