//! `GET /fleet/v2/units/NAME/explain`: a fleetd answers from its own mirror, by the engine's code.

use fleet_api::v2::{DecisionKind, MachineChange, OperateRequest, UnitsRequest};
use fleet_registry::record::Target;

use super::{Served, machine, text_key, wanted};

impl Served {
    async fn cordon(&self, id: &str) {
        let change = MachineChange { id: id.to_owned(), cordoned: Some(true), ..MachineChange::default() };
        self.client().operate(&OperateRequest { machines: vec![change] }).await.unwrap();
    }
}

/// A person would have to guess which of their machines could have the unit, and what keeps the others from it.
#[tokio::test]
async fn a_unit_without_a_machine_is_explained_machine_by_machine() {
    let served = Served::new().await;
    for (id, disk) in [("m1", "hdd"), ("m2", "ssd"), ("m3", "hdd")] {
        served.add_machine(id, &[("disk", disk)]).await;
    }
    served.cordon("m2").await;
    let unit = wanted("a.service", "MachineMetadata=disk=ssd");
    served.client().change_units(&UnitsRequest { units: vec![unit] }).await.unwrap();

    let found = served.client().explain("a.service").await.unwrap();
    assert_eq!(found.decision, DecisionKind::Unplaceable);
    assert_eq!(found.reason, "no machine: 2 of 3 lack disk=ssd, 1 of 3 is cordoned");
    let rejections: Vec<(&str, usize, Vec<&str>)> = found
        .rejections
        .iter()
        .map(|r| (r.reason.as_str(), r.count, r.machines.iter().map(|m| m.id.as_str()).collect()))
        .collect();
    assert_eq!(rejections, [("lack disk=ssd", 2, vec!["m1", "m3"]), ("is cordoned", 1, vec!["m2"])]);
    assert_eq!((found.places.len(), found.able.len(), found.placed_anew), (0, 0, None));
    let change = found.smallest_change.unwrap();
    assert_eq!((&change.steps[..], change.machine.id.as_str()), (&["uncordon m2".to_owned()][..], "m2"));

    // What it says is what the engine does: the machine that is opened is where it would go.
    let open = MachineChange { id: "m2".into(), cordoned: Some(false), ..MachineChange::default() };
    served.client().operate(&OperateRequest { machines: vec![open] }).await.unwrap();
    let found = served.client().explain("a.service").await.unwrap();
    assert_eq!((found.decision, found.reason.as_str()), (DecisionKind::Placed, "on m2: no other machine can take it"));
    assert_eq!(found.places, [], "no schedule lists it yet");
    assert_eq!(found.able.iter().map(|able| able.machine.id.as_str()).collect::<Vec<_>>(), ["m2"]);

    let unknown = served.get("/fleet/v2/units/b.service/explain").await;
    assert_eq!((unknown.status, unknown.message().as_str()), (404, "unit does not exist"));
}

/// A person would not learn whether a unit stays for a reason, or by mere habit.
#[tokio::test]
async fn a_unit_that_has_a_machine_is_compared_with_what_would_be_next() {
    let served = Served::new().await;
    for id in ["m1", "m2"] {
        served.add_machine(id, &[]).await;
    }
    let (a, b) = (wanted("a.service", ""), wanted("b.service", "MachineID=m1"));
    let (a_key, b_key) = (text_key(&a), text_key(&b));
    let changed = served.client().change_units(&UnitsRequest { units: vec![a, b] }).await.unwrap().units;
    let uid = |n: usize| changed[n].uid.unwrap();
    let listed = [("a.service", uid(0), &a_key), ("b.service", uid(1), &b_key)];
    served.schedule("m1", &listed, &[], 1).await;
    served.schedule("m2", &[], &[], 1).await;
    served.report("m1", "a.service", uid(0), &a_key, Some(Target::Launched)).await;
    let placed = |found: &serde_json::Value| found["unit"]["states"][0]["active"] == "active";
    let found = served.until("/fleet/v2/units/a.service/explain", placed).await;
    assert_eq!((&found["decision"], &found["reason"]), (&"placed".into(), &"stays on m1".into()));
    assert_eq!((&found["places"][0]["id"], &found["unit"]["states"][0]["since"]), (&"m1".into(), &5.into()));
    assert_eq!(found["placedAnew"]["machine"]["id"], "m2");
    assert_eq!(found["placedAnew"]["reason"], "least loaded (0 units, m1 has 1)");

    // Its machine goes. That is not taken as its loss here, for which only the leader has the evidence: it stays.
    served.delete(fleet_registry::Key::Machine(machine("m1"))).await;
    let absent = |found: &serde_json::Value| found["rejections"][0]["reason"] == "is absent";
    let found = served.until("/fleet/v2/units/a.service/explain", absent).await;
    assert_eq!((&found["reason"], &found["unit"]["states"][0]["stale"]), (&"stays on m1".into(), &true.into()));
    assert_eq!(found["placedAnew"]["reason"], "no other machine can take it");
}
