//! Services whose start proves little.
//!
//! For `Type=simple` systemd calls a start done, and the service active, once it has forked: a program that is not there,
//! or that ends at once, is seen a few milliseconds later. Whoever waits for the start would be told that all is well.
//! So the first word that such a service is active is held back for as long as that takes; what systemd says within that
//! time takes its place. The process runs meanwhile: only the news of it is later.
//!
//! In the same way a unit that systemd is about to restart passes through `failed` on its way: that it has failed is said
//! once nothing else has followed for a moment.

use std::time::Duration;

use fleet_registry::Mono;
use fleet_registry::record::ContentRecord;
use fleet_units::{UnitFile, UnitName};

use super::Agent;
use crate::reconcile::Action;

/// How long it takes until a process that ends at once has been seen to.
const PROOF: Duration = Duration::from_millis(10);

/// How long it takes until a restart has followed a failure.
const RESTART: Duration = Duration::from_millis(5);

/// Whether systemd calls a unit active before its program has shown any sign of life.
pub(super) fn starts_blindly(name: &UnitName, content: &ContentRecord) -> bool {
    if name.unit_type() != "service" {
        return false;
    }
    let texts = std::iter::once(&content.text).chain(content.drop_ins.values());
    let files: Vec<UnitFile> = texts.filter_map(|text| UnitFile::parse(text).ok()).collect();
    let last = |option| files.iter().rev().find_map(|file| file.last("Service", option)).filter(|v| !v.is_empty());
    match last("Type").as_deref() {
        Some(kind) => matches!(kind, "simple" | "idle" | "exec"),
        None => last("BusName").is_none() && last("ExecStart").is_some(),
    }
}

impl Agent {
    /// Holds back, or lets go, what systemd says of a unit. `doing` is what is being done with it.
    pub(super) fn prove(&mut self, name: &UnitName, now: Mono, doing: Option<Action>) {
        let Some(unit) = self.units.get(name) else { return };
        let starting = matches!(doing, Some(Action::Start | Action::Restart));
        match unit.report.as_ref().map(|report| report.active.as_str()) {
            Some("active") if starting && unit.blind => self.publisher.hold(name, now + PROOF),
            Some("active") => {}
            Some("failed") if starting || doing.is_none() => {
                self.publisher.release(name);
                self.publisher.hold(name, now + RESTART);
            }
            _ => self.publisher.release(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_a_type_that_is_ready_when_it_has_forked_starts_blindly() {
        let cases = [
            ("a.service", "ExecStart=/bin/x", true),
            ("a.service", "Type=simple\nExecStart=/bin/x", true),
            ("a.service", "Type=idle\nExecStart=/bin/x", true),
            ("a.service", "Type=oneshot\nExecStart=/bin/x", false),
            ("a.service", "Type=notify\nExecStart=/bin/x", false),
            ("a.service", "BusName=x.y\nExecStart=/bin/x", false),
            ("a.service", "RemainAfterExit=yes\nExecStop=/bin/x", false),
            ("a.timer", "ExecStart=/bin/x", false),
        ];
        for (name, section, expected) in cases {
            let text = format!("[Service]\n{section}\n");
            let content = ContentRecord { v: 1, text, drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
            assert_eq!(starts_blindly(&UnitName::parse(name).unwrap(), &content), expected, "{name}: {section}");
        }
        let text = "[Service]\nExecStart=/bin/x\n".to_owned();
        let drop_ins = BTreeMap::from([("type.conf".to_owned(), "[Service]\nType=notify\n".to_owned())]);
        let content = ContentRecord { v: 1, text, drop_ins, extra: BTreeMap::new() };
        assert!(!starts_blindly(&UnitName::parse("a.service").unwrap(), &content), "a drop-in says otherwise");
    }
}
