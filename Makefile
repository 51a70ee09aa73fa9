# Two commands matter: `make demo` shows fleet at work on real machines, `make test` proves it. Both do their own set-up.
MACHINES ?= 3
DEMO_ARGS := --machines $(MACHINES) $(if $(KEEP),--keep) $(if $(ETCD),--etcd)

.PHONY: demo test test-quick fuzz simulate bench install setup lint

demo: setup
	cargo build --release --bins
	target/release/fleet-demo $(DEMO_ARGS)

# Everything: formatting, lints, and every test, those on booted machines included. Two of these are at work at a time; the
# third thread is for one that waits five minutes.
test: setup lint
	cargo build --bins
	cargo test --workspace -- --test-threads=3

# Everything that needs no machines: anywhere, without root.
test-quick:
	cargo test --workspace --exclude fleet-tests
	cargo test -p fleet-tests --lib --test agent --test sim

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# Looks for input that breaks a promise, in each target for so long: make fuzz FUZZ_SECONDS=600 FUZZ_TARGETS=etcd
# What it finds is in fuzz/artifacts; what is worth keeping goes into fuzz/corpus, which `make test` replays.
FUZZ_SECONDS ?= 30
FUZZ_TARGETS ?= unit_file requirements names globs metadata config page_tokens api_v1 api_v2 records keys etcd \
	http peers arguments snapshots
CARGO_FUZZ := cargo-fuzz 0.13.1
fuzz: setup
	cargo fuzz --version 2>/dev/null | grep -qx '$(CARGO_FUZZ)' || \
		cargo install --locked cargo-fuzz --version $(lastword $(CARGO_FUZZ))
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/found/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 || exit 1; \
	done

# Stories of whole clusters in virtual time, as many as you like: make simulate STORIES=100000 FROM=5000 SIM_MACHINES=50
STORIES ?= 20000
FROM ?= 10000
simulate:
	SIM_FROM=$(FROM) SIM_STORIES=$(STORIES) cargo test --release -p fleet-tests --test sim -- --nocapture every_invariant

# The figures of SPECIFICATION.md, each beside its floor measured in the same run.
bench: setup
	cargo build --release --bins
	target/release/fleet-bench $(BENCH_ARGS)

# Debian packages that building and testing need; does nothing when they are there.
setup:
	scripts/setup

install:
	cargo build --release -p fleetd -p fleetctl
	install -D -m 0755 target/release/fleetd $(DESTDIR)/usr/bin/fleetd
	install -D -m 0755 target/release/fleetctl $(DESTDIR)/usr/bin/fleetctl
	install -D -m 0644 examples/systemd/fleet.service $(DESTDIR)/usr/lib/systemd/system/fleet.service
	install -D -m 0644 examples/systemd/fleet.socket $(DESTDIR)/usr/lib/systemd/system/fleet.socket
	install -D -m 0644 examples/systemd/fleet-connected.target $(DESTDIR)/usr/lib/systemd/system/fleet-connected.target
	install -D -m 0644 examples/systemd/fleet-fence@.service $(DESTDIR)/usr/lib/systemd/system/fleet-fence@.service
	install -D -m 0644 examples/systemd/fleet-connected.target $(DESTDIR)/usr/lib/systemd/user/fleet-connected.target
	install -D -m 0644 examples/systemd/fleet-fence@.service $(DESTDIR)/usr/lib/systemd/user/fleet-fence@.service
	install -D -m 0644 examples/systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/fleet.conf
	test -n '$(DESTDIR)' || systemd-sysusers fleet.conf
	test -e $(DESTDIR)/etc/fleet/fleet.conf || install -D -m 0644 examples/fleet.conf $(DESTDIR)/etc/fleet/fleet.conf
