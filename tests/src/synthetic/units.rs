//! The units of a made-up cluster.

use std::sync::Arc;

use fleet_engine::placement::UnitSpec;
use fleet_registry::record::ContentKey;
use fleet_units::{DesiredState, Requirements, UnitFile, UnitName};

use super::Shape;
use crate::sim::rng::Rng;

/// How many units a template has, as often as it stands here.
const SIZES: [usize; 20] = [1, 1, 1, 1, 2, 2, 2, 5, 5, 5, 5, 10, 10, 10, 10, 50, 50, 50, 200, 1_000];

/// What a unit asks for.
const MEMORY: [&str; 12] = ["128M", "128M", "256M", "256M", "512M", "512M", "512M", "1G", "1G", "2G", "4G", "8G"];
const CPU: [&str; 8] = ["5%", "10%", "10%", "25%", "25%", "50%", "100%", "200%"];

/// What a template asks of a machine's metadata, as often as it stands here.
const METADATA: [&str; 10] = ["", "", "", "", "", "", "", "\"zone=z1\"", "\"disk=ssd\"", "\"zone=z2\" \"zone=z3\""];

/// Of a hundred templates, so many are followed by another.
const FOLLOWED: u64 = 10;

/// A unit that is to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: UnitName,
    /// Its options, as its template has them.
    pub options: Arc<str>,
    /// What an engine is told of it.
    pub spec: UnitSpec,
    /// The unit beside which it must be.
    pub beside: Option<UnitName>,
}

impl Unit {
    /// A unit with these options that was submitted at this revision.
    #[must_use]
    pub fn new(name: &str, options: &Arc<str>, uid: i64) -> Self {
        let name = UnitName::parse(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let spec = spec(&name, options, uid);
        Self { name, options: options.clone(), spec, beside: None }
    }
}

/// All units, template by template, in the order in which they were submitted.
pub(super) fn units(shape: Shape, rng: &mut Rng) -> Vec<Unit> {
    let mut units = Vec::with_capacity(shape.units);
    let largest = (shape.machines / 8).max(3);
    let mut template = 0;
    while units.len() < shape.units {
        template += 1;
        let left = shape.units - units.len();
        let size = pick(rng, &SIZES).min(largest).min(left);
        let options = options(shape, rng);
        let metadata = if shape.constraints { pick(rng, &METADATA) } else { "" };
        let own = format!("{options}MachineMetadata={metadata}\n").into();
        let is_followed = shape.constraints && rng.chance(FOLLOWED);
        for instance in 0..size {
            units.push(Unit::new(&format!("app{template}@{instance}.service"), &own, template));
        }
        if is_followed {
            let beside = format!("{options}MachineOf=app{template}@%i.service\n").into();
            for instance in 0..size.min(left - size) {
                let leader = units[units.len() - size].name.clone();
                let unit = Unit::new(&format!("side{template}@{instance}.service"), &beside, template);
                units.push(Unit { beside: Some(leader), ..unit });
            }
        }
    }
    units
}

/// What all units of a template ask for, but for what concerns the machines' metadata.
fn options(shape: Shape, rng: &mut Rng) -> String {
    let mut options = String::new();
    let (memory, cpu) = (pick(rng, &MEMORY), pick(rng, &CPU));
    if shape.resources {
        options += &format!("Memory={memory}\nCPU={cpu}\n");
    }
    if shape.conflicts {
        options += "Conflicts=%p@*.service\n";
    }
    if shape.spread {
        options += "SpreadBy=zone\n";
    }
    options
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())]
}

fn spec(name: &UnitName, options: &str, uid: i64) -> UnitSpec {
    let text = format!("[X-Fleet]\n{options}");
    let file = UnitFile::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let requirements = Requirements::parse(&file, name).unwrap_or_else(|e| panic!("{text}: {e}"));
    UnitSpec {
        uid,
        content: ContentKey::of(&text, &Default::default()),
        desired: DesiredState::Launched,
        restarts: 0,
        requirements: Ok(Arc::new(requirements)),
        readable: true,
    }
}
