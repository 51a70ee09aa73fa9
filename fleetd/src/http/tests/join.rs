//! Which cluster this machine is a member of, and orphans.

use fleet_agent::Foreign;
use fleet_api::v2::{ForeignRegistry, JoinRequest, OrphanRequest};
use fleet_registry::Key;
use fleet_registry::record::{ClusterId, StateRecord};

use super::{Served, content, machine, unit};

impl Served {
    /// The agent finds another registry than its cluster's.
    fn find(&self, found: Option<&str>) {
        self.agent.status.send_modify(|status| {
            status.foreign = Some(Foreign {
                remembered: ClusterId("ours".into()),
                found: found.map(|id| ClusterId(id.into())),
                units: [unit("a.service"), unit("b.service")].into(),
            });
        });
    }

    async fn orphan(&self, id: &str, name: &str) {
        self.report(id, name, 3, &content("/bin/true"), None).await;
        let key = Key::State(machine(id), unit(name));
        let mut record: StateRecord = self.stored(key.clone()).await.unwrap();
        record.extra.insert("orphan".to_owned(), true.into());
        self.write(key, &record).await;
    }
}

#[tokio::test]
async fn another_registry_is_shown_and_accepted_only_as_it_was_seen() {
    let served = Served::new().await;
    // It is about this machine, which can be asked when there is no registry.
    served.store.up.send_replace(false);
    let shown = served.client().membership().await.unwrap();
    assert_eq!((shown.machine.id.as_str(), shown.cluster.as_deref(), shown.present), ("m1", Some("ours"), true));
    assert_eq!(shown.foreign, None);
    let error = served.client().join(&JoinRequest { cluster: None }).await.unwrap_err();
    assert_eq!(error.status(), Some(409), "{error}");

    served.find(Some("theirs"));
    let foreign = served.client().membership().await.unwrap().foreign.unwrap();
    let units = vec!["a.service".to_owned(), "b.service".to_owned()];
    assert_eq!(foreign, ForeignRegistry { cluster: Some("theirs".into()), units });
    for other in [None, Some("a third".to_owned())] {
        let error = served.client().join(&JoinRequest { cluster: other }).await.unwrap_err();
        assert_eq!(error.status(), Some(409), "{error}");
        assert!(served.client().membership().await.unwrap().foreign.is_some(), "nothing was done");
    }
    let joined = served.client().join(&JoinRequest { cluster: Some("theirs".into()) }).await.unwrap();
    assert_eq!((joined.cluster.as_deref(), joined.foreign), (Some("theirs"), None));

    served.find(None);
    let joined = served.client().join(&JoinRequest { cluster: None }).await.unwrap();
    assert_eq!(joined.cluster.as_deref(), Some("new"));
}

#[tokio::test]
async fn an_orphan_is_stopped_and_nothing_else_is() {
    let served = Served::new().await;
    served.add_machine("m1", &[]).await;
    served.report("m1", "own.service", 3, &content("/bin/true"), None).await;
    served.orphan("m1", "stray.service").await;
    served.orphan("m2", "lost.service").await;
    let shown = served.client().cluster().await.unwrap().orphans;
    let shown: Vec<_> = shown.iter().map(|o| (o.unit.as_str(), o.active.as_str(), o.since)).collect();
    assert_eq!(shown, [("stray.service", "active", 5)]);
    for (name, id) in [("own.service", "m1"), ("stray.service", "m2"), ("lost.service", "m2"), ("none.service", "m1")] {
        let request = OrphanRequest { unit: name.into(), machine: id.into() };
        assert_eq!(served.client().stop_orphan(&request).await.unwrap_err().status(), Some(404), "{name} on {id}");
    }
    assert!(served.agent.asked.borrow().is_empty());
    served.client().stop_orphan(&OrphanRequest { unit: "stray.service".into(), machine: "m1".into() }).await.unwrap();
    assert_eq!(*served.agent.asked.borrow(), ["stray.service"]);
}
