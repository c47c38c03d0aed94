//! What a reader sees: every reply and every error, over a real store.

#[path = "reads/world.rs"]
mod world;

#[path = "reads/errors.rs"]
mod errors;
#[path = "reads/paging.rs"]
mod paging;
#[path = "reads/served.rs"]
mod served;
#[path = "reads/sessions.rs"]
mod sessions;
#[path = "reads/starts.rs"]
mod starts;
