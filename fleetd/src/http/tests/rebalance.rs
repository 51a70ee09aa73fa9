//! `POST /fleet/v2/rebalance` and `…/leave`: which moves would even out the load, and asking for them.

use fleet_api::v2::{LeaveRequest, LeaveUnit, RebalanceRequest, UnitChange, UnitsRequest};
use fleet_registry::record::{ContentKey, Record, UnitRecord};
use fleet_registry::store::{RangeRequest, Request, ResponseBody};
use fleet_registry::{Key, Store};
use fleet_units::{DesiredState, UnitName};

use super::{Served, unit};

const TEXT: &str = "[Service]\nExecStart=/bin/true\n";

fn leave(name: &str, machine: Option<&str>) -> LeaveRequest {
    LeaveRequest { units: vec![LeaveUnit { name: name.into(), machine: machine.map(str::to_owned) }] }
}

impl Served {
    async fn unit_record(&self, name: &UnitName) -> UnitRecord {
        let key = self.layout.encode(&Key::Unit(name.clone()));
        let answer = self.store.store.call(Request::Range(RangeRequest::key(key))).await.unwrap();
        let ResponseBody::Range(found) = answer.body else { panic!("no range: {answer:?}") };
        UnitRecord::decode(&found.kvs[0].value).unwrap()
    }
}

/// A person would have to think up which units to move, and could not ask for it.
#[tokio::test]
async fn a_rebalance_is_planned_and_asked_for() {
    let served = Served::new().await;
    for id in ["m1", "m2"] {
        served.add_machine(id, &[]).await;
    }
    let key = ContentKey::of(TEXT, &Default::default());
    let client = served.client();
    let change = |name: &str| UnitChange {
        name: name.to_owned(),
        text: Some(TEXT.to_owned()),
        desired_state: Some(DesiredState::Launched),
        ..UnitChange::default()
    };
    let units = ["a@1.service", "a@2.service", "a@3.service", "a@4.service"];
    let request = UnitsRequest { units: units.map(change).to_vec() };
    let uids: Vec<i64> = client.change_units(&request).await.unwrap().units.iter().map(|u| u.uid.unwrap()).collect();
    let listed: Vec<(&str, i64, &ContentKey)> = units.iter().zip(uids).map(|(name, uid)| (*name, uid, &key)).collect();
    served.schedule("m1", &listed, &[], 1).await;
    served.schedule("m2", &[], &[], 1).await;

    let found = client.rebalance(&RebalanceRequest::default()).await.unwrap();
    let moves: Vec<(&str, &str, &str, &str)> =
        found.moves.iter().map(|m| (m.name.as_str(), m.group.as_str(), m.from.id.as_str(), m.to.id.as_str())).collect();
    let expected = [("a@4.service", "a@.service", "m1", "m2"), ("a@3.service", "a@.service", "m1", "m2")];
    assert_eq!(moves, expected);
    assert_eq!((found.before.least, found.before.most, found.after.least, found.after.most), (0, 4, 2, 2));
    let one = client.rebalance(&RebalanceRequest { max_moves: Some(1) }).await.unwrap();
    assert_eq!(one.moves, found.moves[..1]);

    // To ask for one is a wish that the engine acts upon, and that explain shows.
    let asked = client.leave(&leave("a@4.service", Some("m1"))).await.unwrap();
    assert!(asked.units[0].exists && asked.units[0].changed);
    assert!(!client.leave(&leave("a@4.service", Some("m1"))).await.unwrap().units[0].changed, "the same wish");
    let explained = client.explain("a@4.service").await.unwrap();
    assert_eq!(explained.reason, "waiting for m1 to give back a@4.service");
    assert!(explained.rejections.iter().any(|r| r.reason == "is one that it was asked to leave"), "{explained:?}");
    // It ends as it was begun, or with the next thing that people want of the unit.
    assert!(client.leave(&leave("a@4.service", None)).await.unwrap().units[0].changed);
    assert_eq!(client.explain("a@4.service").await.unwrap().reason, "stays on m1");
    client.leave(&leave("a@4.service", Some("m1"))).await.unwrap();
    let again = UnitChange { name: "a@4.service".into(), restart: true, ..UnitChange::default() };
    client.change_units(&UnitsRequest { units: vec![again] }).await.unwrap();
    assert_eq!(served.unit_record(&unit("a@4.service")).await.avoids, None);

    assert!(!client.leave(&leave("none.service", None)).await.unwrap().units[0].exists);
    for (body, status) in [
        (r#"{"units":[{"name":"a@4.service","machine":"m9"}]}"#, 404),
        (r#"{"units":[{"name":"nonsense"}]}"#, 400),
        (r#"{"units":[{"name":"a@4.service","from":"m1"}]}"#, 400),
    ] {
        assert_eq!(served.send("POST", "/fleet/v2/leave", body).await.status, status, "{body}");
    }
}
