//! The fleet daemon: agent, engine, and API server.

fn main() {}
