//! Records that cannot be read, and requests of newer versions.

use fleet_api::v2::{Outcome, UnitChange, UnitsRequest};
use fleet_registry::record::{ContentRecord, UnitRecord};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, ResponseBody};
use fleet_registry::{Key, Store};
use serde_json::json;

use super::{Served, content, machine, unit};

const GARBAGE: &str = "{\"v\": 7";

impl Served {
    async fn garble(&self, key: &Key) {
        let put = PutRequest::new(self.layout.encode(key), GARBAGE);
        self.commit(Operation::Put(put)).await;
    }

    async fn is_garbled(&self, key: &Key) -> bool {
        let range = RangeRequest::key(self.layout.encode(key));
        match self.store.call(Request::Range(range)).await.unwrap().body {
            ResponseBody::Range(range) => range.kvs.first().is_some_and(|kv| kv.value == GARBAGE),
            other => panic!("{other:?}"),
        }
    }
}

fn change(name: &str, exec: &str) -> UnitChange {
    let text = Some(format!("[Service]\nExecStart={exec}\n"));
    UnitChange { name: name.into(), text, replace: true, ..UnitChange::default() }
}

#[tokio::test]
async fn a_unit_that_cannot_be_read_is_refused_alone_and_left_alone() {
    let served = Served::new().await;
    let key = Key::Unit(unit("broken.service"));
    served.garble(&key).await;
    let changes = vec![change("broken.service", "/bin/a"), change("fine.service", "/bin/b")];
    let answer = served.client().change_units(&UnitsRequest { units: changes }).await.unwrap();
    let outcomes: Vec<Outcome> = answer.units.iter().map(|unit| unit.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Created]);
    assert!(answer.units[0].message.as_ref().unwrap().contains("units/broken.service is left alone"), "{answer:?}");
    // Guessed to be new, without a read before.
    let guess = UnitChange { replace: false, ..change("broken.service", "/bin/a") };
    let answer = served.client().change_units(&UnitsRequest { units: vec![guess] }).await.unwrap();
    assert_eq!(answer.units[0].outcome, Outcome::Refused, "{answer:?}");
    let old = served.put_unit("broken.service", "/bin/a", "launched").await;
    assert_eq!(old.status, 409, "{}", old.body);
    assert!(served.is_garbled(&key).await);

    let cluster = served.client().cluster().await.unwrap();
    assert!(cluster.unreadable.iter().any(|record| record.key.ends_with("units/broken.service")), "{cluster:?}");
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.contains("\nfleet_unreadable_records 1\n"), "{metrics}");
}

#[tokio::test]
async fn what_operators_say_over_a_record_that_cannot_be_read_is_refused() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    for (key, path, body) in [
        (Key::Operator(machine("m1")), "/fleet/v2/machines", json!({"machines": [{"id": "m1", "cordoned": true}]})),
        (Key::Brake, "/fleet/v2/brake", json!({"release": true})),
    ] {
        served.garble(&key).await;
        let answer = served.send("POST", path, &body.to_string()).await;
        assert!(answer.status >= 400 || answer.body.contains("cannot be read"), "{path}: {}", answer.body);
        assert!(served.is_garbled(&key).await, "{path}");
    }
}

#[tokio::test]
async fn a_text_that_is_there_keeps_what_a_newer_version_said_beside_it() {
    let served = Served::new().await;
    let key = Key::Content(content("/bin/a"));
    let text = "[Service]\nExecStart=/bin/a\n".to_owned();
    let mut record = ContentRecord { v: 1, text, drop_ins: Default::default(), extra: Default::default() };
    record.extra.insert("signed".into(), json!({"by": "someone"}));
    let before = served.write(key.clone(), &record).await;
    assert_eq!(served.put_unit("a.service", "/bin/a", "launched").await.status, 201);
    assert_eq!(served.stored::<ContentRecord>(key.clone()).await.unwrap(), record);
    let range = RangeRequest::key(served.layout.encode(&key));
    let touched = match served.store.call(Request::Range(range)).await.unwrap().body {
        ResponseBody::Range(range) => range.kvs[0].mod_revision,
        other => panic!("{other:?}"),
    };
    assert!(touched > before, "the sweeper must see that it is wanted again");

    let unit_key = Key::Unit(unit("a.service"));
    let mut stored: UnitRecord = served.stored(unit_key.clone()).await.unwrap();
    stored.extra.insert("owner".into(), json!(["x"]));
    served.write(unit_key.clone(), &stored).await;
    assert_eq!(served.put_unit("a.service", "/bin/b", "inactive").await.status, 201);
    assert_eq!(served.stored::<UnitRecord>(unit_key).await.unwrap().extra, stored.extra);
}

#[tokio::test]
async fn a_change_that_says_more_than_this_version_knows_is_refused_whole() {
    let served = Served::new().await;
    let text = "[Service]\nExecStart=/bin/a\n";
    for (path, body, field) in [
        ("/fleet/v2/units", json!({"units": [], "onlyIfLeader": "m1"}), "onlyIfLeader"),
        ("/fleet/v2/units", json!({"units": [{"name": "a.service", "text": text, "notBefore": 5}]}), "notBefore"),
        ("/fleet/v2/destroy", json!({"names": ["a.service"], "onlyUid": 5}), "onlyUid"),
        ("/fleet/v2/machines", json!({"machines": [{"id": "m1", "cordoned": true, "until": 5}]}), "until"),
        ("/fleet/v2/brake", json!({"release": true, "after": 5}), "after"),
    ] {
        let answer = served.send("POST", path, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.message().contains(&format!("unknown field `{field}`")), "{}", answer.body);
    }
    assert_eq!(served.get("/fleet/v2/units").await.json()["units"], json!([]));
}
