//! The whole service in one program.

fn main() {}
