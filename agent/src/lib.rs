//! Makes one machine's systemd run what a fleet cluster decided.
