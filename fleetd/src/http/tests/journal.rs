//! Journal and status of units on this machine; other machines' are tested with the peers.

use std::time::Duration;

use fleet_api::client::JournalQuery;
use fleet_registry::record::Target;
use futures::StreamExt;

use super::{Served, content};

async fn with_unit() -> Served {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    served.put_unit("a.service", "/bin/true", "launched").await;
    let text = content("/bin/true");
    let uid = served.client().units(&["a.service"]).await.unwrap().units[0].uid;
    served.schedule("m1", &[("a.service", uid, &text)], &[], 1).await;
    served.report("m1", "a.service", uid, &text, Some(Target::Launched)).await;
    served.until("/fleet/v1/units/a.service", |unit| unit["currentState"] == "launched").await;
    served
}

#[tokio::test]
async fn of_a_unit_on_this_machine() {
    let served = with_unit().await;
    let status = served.client().unit_status("a.service", None).await.unwrap();
    assert_eq!((status.output.as_str(), status.exit_code), ("* a.service\n", 3));
    assert_eq!(status.machine.id, "m1");
    assert_eq!(served.client().unit_status("a.service", Some("host-m1")).await.unwrap().exit_code, 3);
    let journal = served.get("/fleet/v2/units/a.service/journal?lines=2").await;
    assert_eq!(journal.body, "a.service line 0\na.service line 1\n");
    assert!(journal.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
}

#[tokio::test]
async fn lines_come_while_the_journal_goes_on() {
    let served = with_unit().await;
    let query = JournalQuery { lines: 1, follow: true, ..JournalQuery::default() };
    let mut journal = Box::pin(served.client().journal("a.service", &query).await.unwrap());
    let first = tokio::time::timeout(Duration::from_secs(10), journal.next()).await.expect("a line comes at once");
    assert_eq!(&first.unwrap().unwrap()[..], b"a.service line 0\n");
}

#[tokio::test]
async fn a_unit_on_no_machine_has_none() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "").await;
    let answer = served.get("/fleet/v2/units/a.service/status").await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.message(), "a.service is on no machine");
}

#[tokio::test]
async fn of_a_machine_that_cannot_be_reached_says_which_and_why() {
    let served = Served::new().await;
    served.put_unit("a.service", "/bin/true", "launched").await;
    let text = content("/bin/true");
    let uid = served.client().units(&["a.service"]).await.unwrap().units[0].uid;
    served.schedule("m2-somewhere", &[("a.service", uid, &text)], &[], 1).await;
    served.report("m2-somewhere", "a.service", uid, &text, Some(Target::Launched)).await;
    let shown = |list: &serde_json::Value| list["units"][0]["states"][0]["active"] == "active";
    served.until("/fleet/v2/units", shown).await;
    let lost = served.get("/fleet/v2/units/a.service/journal").await;
    assert_eq!(lost.status, 502);
    assert!(lost.message().contains("was on machine m2-somew, which is not present"), "{}", lost.body);

    served.add_machine("m2-somewhere", &[]).await;
    served.until("/fleet/v2/machines", |list| list["machines"][0]["id"] == "m2-somewhere").await;
    let silent = served.get("/fleet/v2/units/a.service/status").await;
    assert_eq!(silent.status, 502);
    assert!(silent.message().contains("does not say where to reach it"), "{}", silent.body);

    // A port that nobody listens on any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    served.add_machine_at("m2-somewhere", &address).await;
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let refused = served.get("/fleet/v2/units/a.service/status").await;
        assert_eq!(refused.status, 502);
        if refused.message().contains(&format!("failed to connect to the fleetd at {address}")) {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{}", refused.body);
    }
}
