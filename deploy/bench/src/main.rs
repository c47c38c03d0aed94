//! Measures the figures that the README states.

fn main() {}
