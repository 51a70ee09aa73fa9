//! What operators say of machines, of the brake, and of machines that are gone; and the cluster as a whole.

use std::collections::BTreeMap;

use fleet_api::v2::{MachineChange, OperateRequest};
use fleet_registry::record::{
    BrakeRecord, Extra, FORMAT, LeaderRecord, OperatorRecord, Record, ScheduleRecord, Target,
};
use fleet_registry::store::{Operation, PutRequest, RangeRequest, Request, ResponseBody};
use fleet_registry::{Key, Store};

use super::{Served, content, machine};

impl Served {
    /// A record as it is stored.
    pub(super) async fn stored<R: Record>(&self, key: Key) -> Option<R> {
        let range = RangeRequest::key(self.layout.encode(&key));
        let response = self.store.store.call(Request::Range(range)).await.unwrap();
        let ResponseBody::Range(range) = response.body else { panic!("{response:?}") };
        range.kvs.first().map(|kv| R::decode(&kv.value).unwrap())
    }

    async fn said(&self, id: &str) -> OperatorRecord {
        self.stored(Key::Operator(machine(id))).await.expect("something is said of the machine")
    }

    async fn say(&self, change: MachineChange) -> bool {
        let answer = self.client().operate(&OperateRequest { machines: vec![change] }).await.unwrap();
        answer.machines[0].changed
    }

    async fn put_brake(&self) -> BrakeRecord {
        let newer = Extra::from([("weather".to_owned(), "fine".into())]);
        let lost = BTreeMap::from([(machine("m2"), 1), (machine("m3"), 2)]);
        let brake = BrakeRecord { v: FORMAT, lost, present_before: 3, since: 5, released: false, extra: newer };
        self.write(Key::Brake, &brake).await;
        brake
    }
}

fn of(id: &str) -> MachineChange {
    MachineChange { id: id.to_owned(), ..MachineChange::default() }
}

#[tokio::test]
async fn what_operators_say_is_shown_and_leaves_the_rest_alone() {
    let served = Served::new().await;
    served.add_machine("m1", &[("disk", "ssd"), ("zone", "a")]).await;
    let newer = Extra::from([("weather".to_owned(), "fine".into())]);
    let before =
        OperatorRecord { v: FORMAT, metadata: BTreeMap::new(), cordoned: false, draining: false, extra: newer };
    served.write(Key::Operator(machine("m1")), &before).await;

    assert!(served.say(MachineChange { draining: Some(true), ..of("m1") }).await);
    assert!(!served.say(MachineChange { draining: Some(true), ..of("m1") }).await, "it is no news");
    assert_eq!(served.said("m1").await, OperatorRecord { draining: true, ..before.clone() });
    let shown = served.client().machines().await.unwrap().machines.remove(0);
    assert_eq!((shown.cordoned, shown.draining), (false, true));

    let metadata = BTreeMap::from([("zone".to_owned(), None), ("rack".to_owned(), Some("7".to_owned()))]);
    assert!(served.say(MachineChange { metadata: metadata.clone(), ..of("m1") }).await);
    let shown = served.client().machines().await.unwrap().machines.remove(0);
    let expected = [("disk", "ssd"), ("rack", "7")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(shown.metadata, BTreeMap::from(expected));

    let end = MachineChange { cordoned: Some(false), draining: Some(false), ..of("m1") };
    assert!(served.say(end).await);
    assert_eq!(served.said("m1").await, OperatorRecord { metadata, ..before });
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    let good = r#"{"id":"m1","cordoned":true}"#;
    let cases = [
        (r#"{"id":"m2","cordoned":true}"#, 404, "there is no machine m2"),
        (r#"{"id":"","cordoned":true}"#, 400, "empty"),
        (r#"{"id":"m1","metadata":{"a b":"c"}}"#, 400, "no key of metadata"),
    ];
    for (bad, status, words) in cases {
        let answer = served.send("POST", "/fleet/v2/machines", &format!(r#"{{"machines":[{good},{bad}]}}"#)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.message().contains(words), "{}", answer.body);
    }
    assert_eq!(served.stored::<OperatorRecord>(Key::Operator(machine("m1"))).await, None);
    assert_eq!(served.send("POST", "/fleet/v2/brake", r#"{"release":false}"#).await.status, 400);
    assert_eq!(served.get("/fleet/v2/brake").await.status, 405);
}

#[tokio::test]
async fn only_a_machine_that_is_gone_is_forgotten() {
    let served = Served::new().await;
    let (text, other) = (content("/bin/a"), content("/bin/b"));
    // The id of the other begins like that of the one: its states begin so, too.
    for id in ["m1", "m11"] {
        served.add_machine(id, &[]).await;
        served.schedule(id, &[("a.service", 1, &text), ("b.service", 2, &other)], &[], 4).await;
        served.applied(id, 4).await;
        served.report(id, "a.service", 1, &text, Some(Target::Launched)).await;
        served.report(id, "b.service", 2, &other, Some(Target::Launched)).await;
        served.say(MachineChange { cordoned: Some(true), ..of(id) }).await;
    }
    let error = served.client().forget("m1").await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Some(409), "machine m1 is present: \"fleetctl drain\" it, then stop its fleetd")
    );
    assert_eq!(served.client().cluster().await.unwrap().lost, []);

    served.delete(Key::Machine(machine("m1"))).await;
    let lost = served.until("/fleet/v2/cluster", |cluster| cluster["lost"] != serde_json::json!([])).await;
    assert_eq!(lost["lost"], serde_json::json!([{"id": "m1", "units": 2, "cordoned": true, "draining": false}]));
    served.client().forget("m1").await.unwrap();
    let cluster = served.client().cluster().await.unwrap();
    assert_eq!(cluster.lost, []);
    assert_eq!(cluster.machines.len(), 1);
    let left = RangeRequest::prefix(served.layout.root().to_owned());
    let response = served.store.store.call(Request::Range(left)).await.unwrap();
    let ResponseBody::Range(range) = response.body else { panic!("{response:?}") };
    let keys: Vec<String> = range.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
    assert!(keys.iter().all(|key| key.contains("m11")), "{keys:?}");
    assert_eq!(keys.len(), 6, "the other machine has all of its records: {keys:?}");

    assert_eq!(served.client().forget("m1").await.unwrap_err().status(), Some(404));
}

/// Somebody's database would have two writers: with the records of a machine that is cut off, the leader would forget what
/// it waits for, and give the unit to another at once.
#[tokio::test]
async fn a_machine_that_may_still_be_stopping_what_must_not_run_twice_is_not_forgotten() {
    let served = Served::new().await;
    let text = "[Service]\nExecStart=/bin/a\nTimeoutStopSec=20\n[X-Fleet]\nOnDisconnect=stop\n";
    let body = serde_json::json!({"units": [{"name": "db.service", "text": text, "desiredState": "launched"}]});
    let answer = served.send("POST", "/fleet/v2/units", &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let key = fleet_registry::record::ContentKey::of(text, &BTreeMap::new());
    served.schedule("m1", &[("db.service", 1, &key)], &[], 4).await;
    served.until("/fleet/v2/cluster", |cluster| cluster["lost"] != serde_json::json!([])).await;
    let error = served.client().forget("m1").await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    let words = error.to_string();
    assert!(words.starts_with("machine m1 may still be stopping db.service, which must never run twice"), "{words}");
    assert!(words.contains("for at most 8") && words.contains("forget it after that"), "{words}");
    assert!(served.stored::<ScheduleRecord>(Key::Schedule(machine("m1"))).await.is_some(), "it is all there");

    // The leader waited, and found another machine.
    served.schedule("m2", &[("db.service", 1, &key)], &[], 1).await;
    served.schedule("m1", &[], &[("db.service", 5)], 5).await;
    served.until("/fleet/v2/cluster", |cluster| cluster["lost"][0]["units"] == 0).await;
    served.client().forget("m1").await.unwrap();
    assert_eq!(served.stored::<ScheduleRecord>(Key::Schedule(machine("m1"))).await, None);
}

#[tokio::test]
async fn the_brake_is_released_where_it_is_on() {
    let served = Served::new().await;
    assert_eq!(served.client().release_brake().await.unwrap().brake, None);
    assert_eq!(served.stored::<BrakeRecord>(Key::Brake).await, None, "none is made up");

    let brake = served.put_brake().await;
    let found = served.client().release_brake().await.unwrap().brake.unwrap();
    assert_eq!((found.released, found.lost.len()), (false, 2));
    assert_eq!(served.stored(Key::Brake).await, Some(BrakeRecord { released: true, ..brake }));
    assert!(served.client().release_brake().await.unwrap().brake.unwrap().released, "once more does no harm");
}

#[tokio::test]
async fn the_cluster_is_shown_as_a_whole() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    served.put_brake().await;
    let leads = |id: &str| LeaderRecord {
        v: FORMAT,
        machine: machine(id),
        instance: "i".into(),
        since: 7,
        why: "no leader".into(),
        extra: Extra::new(),
    };
    served.write(Key::Leader, &leads("m1")).await;
    served.write(Key::Standby(0), &leads("m4")).await;
    served.report("m1", "stray.service", 1, &content("/bin/true"), None).await;
    let state = Key::State(machine("m1"), super::unit("stray.service"));
    let mut stray: fleet_registry::record::StateRecord = served.stored(state.clone()).await.unwrap();
    stray.extra.insert("orphan".into(), true.into());
    served.write(state, &stray).await;
    let garbage = PutRequest::new(served.layout.encode(&Key::Schedule(machine("m1"))), "{");
    served.commit(Operation::Put(garbage)).await;

    let cluster = served.client().cluster().await.unwrap();
    let leader = cluster.leader.unwrap();
    assert_eq!((leader.machine.id.as_str(), leader.since), ("m1", 7));
    assert_eq!(cluster.standbys.len(), 1);
    assert_eq!((cluster.stale, cluster.machines.len()), (false, 1));
    let brake = cluster.brake.unwrap();
    assert_eq!((brake.present_before, brake.since, brake.released), (3, 5, false));
    assert_eq!(cluster.orphans.len(), 1);
    assert_eq!((cluster.orphans[0].unit.as_str(), cluster.orphans[0].machine.id.as_str()), ("stray.service", "m1"));
    assert_eq!(cluster.unreadable.len(), 1);
    assert!(cluster.unreadable[0].key.ends_with("schedule/m1"), "{:?}", cluster.unreadable);

    // Cut off, it says so, and shows what it knew.
    served.store.up.send_replace(false);
    let stale = served.until("/fleet/v2/cluster", |cluster| cluster["stale"] == true).await;
    assert!(stale["why"].as_str().unwrap().contains("connection refused"), "{stale}");
    assert_eq!(stale["leader"]["machine"]["id"], "m1");
}
