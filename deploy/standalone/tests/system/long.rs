//! Drills that are too slow for the gate. `deploy/drills NAME` runs the module NAME.

#[cfg(feature = "drills")]
mod balancer;
#[cfg(feature = "drills")]
mod clocks;
#[cfg(feature = "drills")]
mod contested;
#[cfg(feature = "drills")]
mod expiry;
#[cfg(feature = "drills")]
mod hot;
#[cfg(feature = "drills")]
mod redrives;
#[cfg(feature = "drills")]
mod slow_disk;
#[cfg(feature = "drills")]
mod slowness;
#[cfg(feature = "drills")]
mod topics;
