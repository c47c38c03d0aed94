//! `bookend health`: whether a running service is ready, as its `/readyz` says. For containers.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::Context;
use shared::{
    cli,
    config::{ListenAddress, Settings},
};

use crate::client::{self, ClientOptions};

/// The longest time for the reply: shorter than the time limits of health checks usually are.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The arguments of `bookend health` besides the settings of the address.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// URL of the service [default: the configured address, on loopback]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// How the request is sent.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Asks the service at `--url`, or else at the address in `given`, and prints `ready`.
///
/// # Errors
/// If the service is not ready or cannot be reached, and for mistakes in the configuration.
pub async fn run(mut args: HealthArgs, mut given: Settings) -> anyhow::Result<()> {
    let own = own_url(&mut given);
    let own = given.finish(own)?;
    let is_own = args.url.is_none();
    let url = args.url.take().unwrap_or(own);
    let url = format!("{}/readyz", url.trim_end_matches('/')).parse().context("--url")?;
    // The certificate of the service is for other names than the address of loopback, so its own
    // service gets no key.
    let is_verified = !is_own || args.client.tls_ca.is_some();
    if is_verified {
        args.client.read_key()?;
    }
    let builder = args.client.builder(&url)?.timeout(TIMEOUT).no_proxy();
    let builder = match is_verified {
        true => builder,
        false => builder.tls_danger_accept_invalid_certs(true),
    };
    client::fetch(builder.build()?.get(url)).await.map_err(|error| {
        match error.downcast_ref::<reqwest::Error>() {
            Some(failed) => {
                let url = failed.url().map_or_else(String::new, ToString::to_string);
                anyhow::anyhow!("{url} cannot be reached: {}", client::root_cause(failed))
            }
            None => error,
        }
    })?;
    Ok(cli::print(b"ready\n")?)
}

/// The URL of the service with this configuration on its own machine.
fn own_url(given: &mut Settings) -> String {
    let address: ListenAddress = given.get_or("listen", ListenAddress(([127, 0, 0, 1], 0).into()));
    let operations: Option<ListenAddress> = given.get_optional("operations-listen");
    let is_secured = given.get_optional::<PathBuf>("tls-cert").is_some() && operations.is_none();
    let ListenAddress(mut address) = operations.unwrap_or(address);
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let scheme = if is_secured { "https" } else { "http" };
    format!("{scheme}://{address}")
}
