//! The commands of the `bookend` program that make events and deliver them: what the whole service is shown and tried with.
//!
//! Both are also called by the program's other commands and by tests, so they are a library; starting the service is not here.

pub mod generate;
pub mod load;
