//! Units that would wait for each other for ever are refused when they are submitted.

use fleet_api::v2::{Outcome, UnitChange, UnitOutcome, UnitsRequest};

use super::{Served, wanted};

async fn submit(served: &Served, units: Vec<UnitChange>) -> Vec<UnitOutcome> {
    served.client().change_units(&UnitsRequest { units }).await.unwrap().units
}

/// A person would see two units wait for each other, and have to find out why.
#[tokio::test]
async fn a_circle_of_starts_is_refused_by_name() {
    let served = Served::new().await;
    let first =
        submit(&served, vec![wanted("a.service", "After=b.service"), wanted("b.service", "Requires=c.service")]);
    assert!(first.await.iter().all(|unit| unit.outcome == Outcome::Created), "they wait for what may yet come");
    let words = "After and Requires make a circle, in which no unit could be started: \
                 a.service → b.service → c.service → a.service";
    let closing =
        submit(&served, vec![wanted("c.service", "After=a.service"), wanted("d.service", "After=a.service")]).await;
    assert_eq!((closing[0].outcome, closing[0].message.as_deref()), (Outcome::Refused, Some(words)));
    assert_eq!(closing[1].outcome, Outcome::Created, "others of the same request are made");

    // Of two in one request neither may be made.
    let both =
        submit(&served, vec![wanted("x.service", "After=y.service"), wanted("y.service", "After=x.service")]).await;
    assert!(both.iter().all(|unit| unit.outcome == Outcome::Refused), "{both:?}");

    let former = serde_json::json!({
        "desiredState": "launched",
        "options": [
            {"section": "Service", "name": "ExecStart", "value": "/bin/true"},
            {"section": "X-Fleet", "name": "After", "value": "a.service"},
        ],
    });
    let answer = served.send("PUT", "/fleet/v1/units/c.service", &former.to_string()).await;
    assert_eq!((answer.status, answer.message().as_str()), (409, words));

    let itself = submit(&served, vec![wanted("e.service", "After=%n")]).await;
    assert_eq!(itself[0].message.as_deref(), Some("e.service cannot name itself in After"));
}
