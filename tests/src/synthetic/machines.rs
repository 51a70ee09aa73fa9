//! The machines of a made-up cluster.

use fleet_engine::placement::MachineFacts;
use fleet_units::MachineId;

use crate::sim::rng::Rng;

/// Racks, spread evenly over the zones.
const RACKS: usize = 25;
const ZONES: usize = 5;

/// All machines; each next one stands in the next rack.
pub(super) fn machines(count: usize, rng: &mut Rng) -> Vec<MachineFacts> {
    (0..count).map(|n| machine(n, rng)).collect()
}

fn machine(n: usize, rng: &mut Rng) -> MachineFacts {
    let id = MachineId::parse(&format!("{:016x}{n:016x}", rng.bits())).expect("hexadecimal digits are an id");
    let mut facts = MachineFacts::new(id);
    let rack = n % RACKS;
    let mut say = |key: &str, value: String| facts.metadata.insert(key.to_owned(), value);
    say("rack", format!("r{rack}"));
    say("zone", format!("z{}", rack % ZONES));
    say("disk", if rng.chance(33) { "ssd" } else { "hdd" }.to_owned());
    facts
}
