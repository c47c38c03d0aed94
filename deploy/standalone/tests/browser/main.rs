//! The pages in a headless Chromium that types and clicks like a reader, with the real program.
//!
//! The tests compare a page with the replies of the service. The browser resolves only loopback,
//! and its time zone and its year differ from the service's: a page must show neither.

#[cfg(test)]
#[allow(dead_code, reason = "shared with the system tests, which take more of it")]
#[path = "../system/data.rs"]
mod data;
#[cfg(test)]
#[allow(dead_code, reason = "shared with the system tests, which take more of it")]
#[path = "../system/service.rs"]
mod service;

#[cfg(test)]
mod calls;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod live;
#[cfg(test)]
mod look;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod page;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod user;

#[cfg(test)]
use test_support::client;
