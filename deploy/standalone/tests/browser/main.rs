//! The pages in a real browser: a headless Chromium that reads, types and clicks as a reader does, over the real program.
//!
//! What a page shows is compared with what the service answers to the same question. The browser finds no host but
//! loopback, and its clock has another time zone and another year than the service's: neither may show.

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
mod live;
#[cfg(test)]
mod look;
#[cfg(test)]
mod page;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod user;

#[cfg(test)]
use test_support::client;
