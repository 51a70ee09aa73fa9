//! The machines of a made-up cluster.

use fleet_engine::placement::{Capacity, MachineFacts};
use fleet_units::MachineId;

use crate::sim::rng::Rng;

/// Racks, spread evenly over the zones.
const RACKS: usize = 25;
const ZONES: usize = 5;

/// Gibibytes of memory and cores of a machine, as often as it stands here.
const SIZES: [(u64, u64); 10] =
    [(8, 4), (8, 4), (8, 4), (8, 4), (16, 8), (16, 8), (16, 8), (32, 16), (32, 16), (64, 32)];

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
    let (gibibytes, cores) = SIZES[rng.below(SIZES.len())];
    facts.capacity = Capacity { memory: Some(gibibytes << 30), cpu_millis: Some(cores * 1_000) };
    facts
}
