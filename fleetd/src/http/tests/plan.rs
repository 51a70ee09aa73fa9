//! `POST /fleet/v2/plan`, `…/plan/start` and `GET /fleet/v2/snapshot`: what would come of a change, and that it is made
//! only as long as that holds.

use fleet_api::v2::{
    FateKind, MachineChange, OperateRequest, PlanAnswer, PlanRequest, PlannedRequest, SupposedMachine, UnitChange,
    UnitsRequest,
};
use fleet_engine::{Offline, Snapshot, Wanted};
use fleet_units::DesiredState;

use super::{Served, text_key, wanted};

fn asks(units: &[UnitChange]) -> PlanRequest {
    PlanRequest { units: units.to_vec(), machines: Vec::new() }
}

fn machine(id: &str) -> SupposedMachine {
    SupposedMachine { id: id.to_owned(), ..SupposedMachine::default() }
}

/// Unit, fate, from, to.
fn fates(answer: &PlanAnswer) -> Vec<(&str, FateKind, Vec<&str>, Vec<&str>)> {
    answer
        .units
        .iter()
        .map(|fate| {
            let from = fate.from.iter().map(|machine| machine.id.as_str()).collect();
            let to = fate.to.iter().map(|machine| machine.id.as_str()).collect();
            (fate.name.as_str(), fate.fate, from, to)
        })
        .collect()
}

/// A person would start units and learn only then where they go, and which nowhere.
#[tokio::test]
async fn a_start_is_planned_and_made_as_planned() {
    let served = Served::new().await;
    for (id, zone) in [("m1", "a"), ("m2", "b")] {
        served.add_machine(id, &[("zone", zone)]).await;
        served.schedule(id, &[], &[], 1).await;
    }
    let client = served.client();
    let units = [wanted("a.service", "MachineMetadata=zone=b"), wanted("b.service", "Conflicts=a.service")];
    let plan = client.plan(&asks(&units)).await.unwrap();
    let expected =
        [("a.service", FateKind::Placed, vec![], vec!["m2"]), ("b.service", FateKind::Placed, vec![], vec!["m1"])];
    assert_eq!(fates(&plan), expected);
    assert_eq!(plan.units[0].reason, "no other machine can take it");
    let all = client.units::<&str>(&[]).await.unwrap();
    assert_eq!(all.units.len(), 0, "a plan changes nothing");
    let token = plan.token.clone().unwrap();
    assert_eq!(client.plan(&asks(&units)).await.unwrap().token.as_ref(), Some(&token), "the same question");

    // The cluster is another by now: nothing is started.
    let cordon = |on| MachineChange { id: "m2".into(), cordoned: Some(on), ..MachineChange::default() };
    client.operate(&OperateRequest { machines: vec![cordon(true)] }).await.unwrap();
    let start = PlannedRequest { token: token.clone(), units: units.to_vec() };
    let refused = client.start_planned(&start).await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert_eq!(client.units::<&str>(&[]).await.unwrap().units.len(), 0, "nothing was done");
    let other = client.plan(&asks(&units)).await.unwrap();
    assert_eq!((other.units[0].fate, other.token == plan.token), (FateKind::Unplaced, false));
    assert_eq!(other.units[0].reason, "no machine: 1 of 2 is cordoned, 1 of 2 lacks zone=b");

    // Another text is another plan, whatever comes of it.
    client.operate(&OperateRequest { machines: vec![cordon(false)] }).await.unwrap();
    let changed = [units[0].clone(), wanted("b.service", "Conflicts=a.service\n# and more")];
    let request = PlannedRequest { token: token.clone(), units: changed.to_vec() };
    assert_eq!(client.start_planned(&request).await.unwrap_err().status(), Some(409));

    let answer = client.start_planned(&start).await.unwrap();
    assert_eq!(answer.units.len(), 2);
    let all = client.units::<&str>(&[]).await.unwrap();
    assert!(all.units.iter().all(|unit| unit.desired_state == Some(DesiredState::Launched)));
}

/// A person would lose or drain a machine without knowing what that costs.
#[tokio::test]
async fn the_loss_of_machines_is_planned() {
    let served = Served::new().await;
    for id in ["m1", "m2", "m3"] {
        served.add_machine(id, &[]).await;
    }
    let units = [wanted("a.service", "Conflicts=b.service"), wanted("b.service", "MachineMetadata=zone=b")];
    let changed = served.client().change_units(&UnitsRequest { units: units.to_vec() }).await.unwrap().units;
    let uid = |n: usize| changed[n].uid.unwrap();
    let zone = SupposedMachine { metadata: [("zone".to_owned(), Some("b".to_owned()))].into(), ..machine("m1") };
    served.schedule("m1", &[("a.service", uid(0), &text_key(&units[0]))], &[], 1).await;
    served.schedule("m2", &[], &[], 1).await;
    served.schedule("m3", &[], &[], 1).await;
    let client = served.client();
    let plan = |machines: Vec<SupposedMachine>| {
        let client = client.clone();
        async move { client.plan(&PlanRequest { units: Vec::new(), machines }).await.unwrap() }
    };
    let loss = plan(vec![SupposedMachine { lost: true, ..machine("m1") }]).await;
    assert_eq!(fates(&loss), [("a.service", FateKind::Moved, vec!["m1"], vec!["m2"])]);
    assert!(loss.units[0].reason.starts_with("the machine is lost; as loaded as m3"), "{}", loss.units[0].reason);
    assert_eq!((loss.token, loss.brake), (None, false), "a loss is not to be started");
    let two = [SupposedMachine { lost: true, ..machine("m1") }, SupposedMachine { lost: true, ..machine("m2") }];
    let two = plan(two.to_vec()).await;
    assert_eq!(fates(&two), [("a.service", FateKind::Moved, vec!["m1"], vec!["m3"])]);
    assert!(two.brake, "two of three put the brake on");
    let drain = plan(vec![SupposedMachine { draining: true, ..machine("m1") }]).await;
    assert_eq!(fates(&drain), [("a.service", FateKind::Moved, vec!["m1"], vec!["m2"])]);
    // b waits for such a machine, and cannot be beside a, which was there first.
    let metadata = plan(vec![zone]).await;
    assert_eq!(fates(&metadata), []);
    let on_m2 = SupposedMachine { metadata: [("zone".to_owned(), Some("b".to_owned()))].into(), ..machine("m2") };
    let metadata = plan(vec![on_m2]).await;
    assert_eq!(fates(&metadata), [("b.service", FateKind::Placed, vec![], vec!["m2"])]);

    // What the file says is what the cluster says.
    let text = served.get("/fleet/v2/snapshot").await;
    let snapshot = Snapshot::read(text.body.as_bytes()).unwrap();
    let offline = Offline::open(&snapshot);
    let new = wanted("c.service", "Conflicts=a.service");
    let name = "c.service".parse().unwrap();
    let (text, drop_ins) = (new.text.clone(), new.drop_ins.clone());
    let wanted = Wanted { name, text, drop_ins, replace: false, desired: new.desired_state };
    let change = [offline.suppose(&wanted).unwrap()];
    let offline = offline.what_if(&change);
    let live = client.plan(&asks(&[new])).await.unwrap();
    assert_eq!(Some(offline.token(&change)), live.token);
    assert_eq!(offline.fates[0].to_string(), live.units[0].reason);
}

/// A mistake would be answered as though all were well.
#[tokio::test]
async fn senseless_plans_are_refused() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    let client = served.client();
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"loose":[]}"#, 400),
        (r#"{"machines":[{"id":"m9","lost":true}]}"#, 404),
        (r#"{"machines":[{"id":"","lost":true}]}"#, 400),
        (r#"{"machines":[{"id":"m1","metadata":{"a b":"c"}}]}"#, 400),
    ] {
        assert_eq!(served.send("POST", "/fleet/v2/plan", body).await.status, status, "{body}");
    }
    let nobody = UnitChange { name: "none.service".into(), ..UnitChange::default() };
    let both = [wanted("a.service", "MachineID=x\nGlobal=true"), nobody, wanted("b.service", "")];
    let plan = client.plan(&asks(&both)).await.unwrap();
    let refused: Vec<(&str, &str)> = plan.refused.iter().map(|u| (u.name.as_str(), u.message.as_str())).collect();
    let expected = [("a.service", "MachineID cannot be used with Global"), ("none.service", "unit does not exist")];
    assert_eq!(refused, expected);
    assert_eq!((fates(&plan).len(), &plan.token), (1, &None), "what would be refused cannot be started as planned");
    let request = PlannedRequest { token: String::new(), units: both.to_vec() };
    let refused = client.start_planned(&request).await.unwrap_err();
    assert!(refused.to_string().contains("a.service would be refused"), "{refused}");
}
