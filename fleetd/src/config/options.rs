//! The table of options: one line each, from which the file, the environment, and the flags are read alike.

/// An option that can be set in the file, as `FLEET_<NAME>`, and as `--<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name, as in the file.
    pub name: &'static str,
    /// Its default, as it would be written.
    pub default: &'static str,
    /// Whether it is a yes or no, so that its flag needs no value.
    pub switch: bool,
    /// One line for `--help`.
    pub help: &'static str,
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, default, switch: false, help }
}

const fn switch(name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, default: "false", switch: true, help }
}

/// Every option: CoreOS fleet's first, in its order, then those that this fleet adds.
pub const OPTIONS: &[OptionSpec] = &[
    text("verbosity", "0", "Log more: 1 is debug"),
    text("etcd_servers", "http://127.0.0.1:2379,http://127.0.0.1:4001", "Comma-separated etcd endpoints"),
    text("etcd_username", "", "User name for etcd"),
    text("etcd_password", "", "Password for etcd"),
    text("etcd_keyfile", "", "Client key for etcd, PEM"),
    text("etcd_certfile", "", "Client certificate for etcd, PEM"),
    text("etcd_cafile", "", "Authorities that vouch for etcd, PEM"),
    text("etcd_key_prefix", "/_coreos.com/fleet/", "Keys of this cluster live below this"),
    text("etcd_request_timeout", "1.0", "Seconds that a request to etcd may take"),
    text("engine_reconcile_interval", "2.0", "Accepted for old configurations; has no effect"),
    text("public_ip", "", "Address published for this machine [default: that of the default route]"),
    text("metadata", "", "What units may ask for: key=value,key2=value2"),
    text("agent_ttl", "10s", "Time after which a machine that was not heard of counts as lost"),
    text("units_directory", "/run/fleet/units", "Where unit files are written"),
    switch("systemd_user", "Run units under the user's systemd"),
    text("token_limit", "100", "Page size of the API's version 1"),
    switch("enable_grpc", "Accepted for old configurations; has no effect"),
    switch("disable_engine", "Never lead the cluster from this machine"),
    switch("disable_watches", "Accepted for old configurations; has no effect"),
    switch("verify_units", "Accepted for old configurations; has no effect"),
    text("authorized_keys_file", "", "Accepted for old configurations; has no effect"),
    text("registry", "", "`embedded` runs the registry inside this fleetd instead of using etcd"),
    text("registry_listen", "127.0.0.1:2379", "Where the embedded registry is served"),
    text("registry_dir", "/var/lib/fleet/registry", "Where the embedded registry keeps its data"),
    text("registry_quota", "2G", "Writes are refused past so many bytes of the embedded registry on the disk"),
    switch("registry_insecure", "Serve the embedded registry in plain text beyond this machine"),
    text("registry_join", "", "A token of `fleetctl registry token`, or a file that holds one: joins that registry"),
    text("state_directory", "/var/lib/fleet", "What fleetd must find again after a restart"),
    text("peer_listen", "0.0.0.0:49154", "Where other fleetds reach this one"),
    text("listen", "", "More sockets of the API, comma-separated: paths or addresses [default: /run/fleet.sock]"),
    text("capacity", "", "What this machine has for units: memory=2G,cpu=200% [default: what it has]"),
    text("capacity_reserve", "", "What is kept back: memory=256M,cpu=10% [default: 5 % of what was found]"),
    text("engine_brake_hold", "5m", "How long nothing moves after many machines were lost at once; 0 is for ever"),
    text("machine_retention", "168h", "How long the records of a lost machine are kept; 0 is for ever"),
    text("on_stop", "drain", "What becomes of units when fleetd is stopped for good: drain or keep"),
];

/// The option of this name, whatever its case.
pub(super) fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|o| o.name.eq_ignore_ascii_case(name))
}

/// The option whose name is closest to `name`, if one is close enough to be what was meant.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    OPTIONS
        .iter()
        .map(|o| (distance(&name, o.name), o.name))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, or changed to turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
