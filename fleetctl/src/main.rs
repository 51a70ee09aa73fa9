//! Control a fleet cluster from the command line.

fn main() {}
