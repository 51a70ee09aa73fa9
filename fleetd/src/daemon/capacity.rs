//! What this machine gives to units: what it has, or what the configuration says that it has, less what is kept back.

use fleet_agent::facts::{self, Manager};
use fleet_registry::record::Capacity;

use crate::config::Config;

/// Kept back of what was found, unless the configuration says how much: a twentieth, between these bounds.
const SHARE: u64 = 20;
const MEMORY: (u64, u64) = (128 << 20, 1 << 30);
const CPU_MILLIS: (u64, u64) = (50, 1000);

/// But never more than a quarter: a small machine is there for units too.
const MOST: u64 = 4;

/// What this machine gives to units. Warns where that is not what a person may think.
pub(super) fn of_this_machine(config: &Config) -> Capacity {
    let manager = match config.systemd_user {
        true => Manager::User(nix::unistd::getuid().as_raw()),
        false => Manager::System,
    };
    let found = facts::capacity(manager);
    for warning in warnings(config, &found) {
        tracing::warn!("{warning}");
    }
    capacity(config, &found)
}

/// What is given to units of a machine where this was found. What the configuration says counts as it stands there: a
/// default is kept back only of what was found.
fn capacity(config: &Config, found: &Capacity) -> Capacity {
    let left = |said: Option<u64>, found: Option<u64>, reserve: Option<u64>, (least, most): (u64, u64)| {
        let share = |found: u64| (found / SHARE).clamp(least, most).min(found / MOST);
        let kept = reserve.unwrap_or_else(|| if said.is_some() { 0 } else { found.map_or(0, share) });
        Some(said.or(found)?.saturating_sub(kept))
    };
    let (said, reserve) = (&config.capacity, &config.capacity_reserve);
    Capacity {
        memory: left(said.memory, found.memory, reserve.memory, MEMORY),
        cpu_millis: left(said.cpu_millis, found.cpu_millis, reserve.cpu_millis, CPU_MILLIS),
        ..Capacity::default()
    }
}

/// What a person may want to know of it: nothing of this keeps a machine from taking part.
fn warnings(config: &Config, found: &Capacity) -> Vec<String> {
    let (said, reserve) = (&config.capacity, &config.capacity_reserve);
    let of = |capacity: &Capacity| [("memory", capacity.memory), ("cpu", capacity.cpu_millis)];
    let mut warnings = Vec::new();
    for ((what, found), ((_, said), (_, reserve))) in of(found).into_iter().zip(of(said).into_iter().zip(of(reserve))) {
        let Some(found) = found else {
            if said.is_none() {
                warnings.push(format!(
                    "the kernel does not say how much {what} this machine has: units that ask for {what} are not placed \
                     here until capacity={what}=… says it"
                ));
            }
            continue;
        };
        if said.is_some_and(|said| said > found) {
            warnings
                .push(format!("capacity says that this machine has more {what} than was found: it may be overfilled"));
        }
        if said.is_none() && reserve.is_some_and(|reserve| reserve >= found) {
            warnings.push(format!(
                "capacity_reserve keeps back all {what} that this machine has: units that ask for {what} are not placed \
                 here"
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Raw;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn config(text: &str) -> Config {
        let mut raw = Raw::default();
        raw.read_file(Path::new("fleet.conf"), text).unwrap();
        Config::from_raw(&raw).unwrap()
    }

    /// Memory and thousandths of cores that a machine with these gives to units.
    fn given(text: &str, memory: u64, cpu_millis: u64) -> (u64, u64) {
        let found = Capacity { memory: Some(memory), cpu_millis: Some(cpu_millis), ..Capacity::default() };
        let capacity = capacity(&config(text), &found);
        (capacity.memory.unwrap(), capacity.cpu_millis.unwrap())
    }

    #[test]
    fn by_default_the_system_keeps_a_twentieth_within_bounds() {
        assert_eq!(given("", 10 * GIB, 4000), (10 * GIB - GIB / 2, 3800));
        assert_eq!(given("", 256 * GIB, 64_000), (255 * GIB, 63_000));
        assert_eq!(given("", GIB, 1000), (896 * MIB, 950));
        assert_eq!(given("", 256 * MIB, 100), (192 * MIB, 75));
    }

    #[test]
    fn what_the_configuration_says_counts_as_it_stands_there() {
        assert_eq!(given("capacity=memory=2G,cpu=200%", 10 * GIB, 4000), (2 * GIB, 2000));
        assert_eq!(given("capacity=memory=2G", 10 * GIB, 4000), (2 * GIB, 3800));
        assert_eq!(given("capacity_reserve=memory=256M,cpu=10%", 10 * GIB, 4000), (10 * GIB - 256 * MIB, 3900));
        assert_eq!(given("capacity_reserve=memory=0,cpu=0%", 10 * GIB, 4000), (10 * GIB, 4000));
        let both = "capacity=memory=2G,cpu=200%\ncapacity_reserve=memory=512M";
        assert_eq!(given(both, 10 * GIB, 4000), (1536 * MIB, 2000));
        assert_eq!(given("capacity_reserve=memory=4G", GIB, 1000), (0, 950));
    }

    #[test]
    fn a_machine_that_is_not_what_was_said_is_warned_of() {
        let found = Capacity { memory: Some(GIB), cpu_millis: None, ..Capacity::default() };
        let warned = |text: &str| warnings(&config(text), &found).join("\n");
        assert!(warned("capacity=cpu=100%").is_empty());
        assert!(warned("").contains("does not say how much cpu"), "{}", warned(""));
        assert!(warned("capacity=memory=2G,cpu=100%").contains("more memory than was found"));
        assert!(warned("capacity=cpu=100%\ncapacity_reserve=memory=2G").contains("keeps back all memory"));
        assert_eq!(capacity(&config(""), &found).cpu_millis, None);
    }
}
