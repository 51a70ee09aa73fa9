//! Asking before: plans, snapshots, and moves that people ask for. On a cluster of three that another test has made.

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::Cluster;
use serde_json::Value;

use crate::support::{Person, once, sleeper_with};

/// `fleetctl` as a person with a home types it.
fn at_home<'a>(words: &[&'a str]) -> Vec<&'a str> {
    ["env", "--chdir", "/root", "HOME=/root", "fleetctl"].iter().chain(words).copied().collect()
}

/// What is planned is what is done, and is not done once it would come to something else.
pub(crate) fn planned(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let [first, second] = [1, 2].map(|node| cluster.node(node).machine_id().to_string());
    person.save("planned.service", sleeper_with("MachineMetadata=zone=b"))?;
    let said = cluster.node(1).exec(at_home(&["plan", "planned.service"]))?.ok()?;
    ensure!(said.contains("1 placed. Nothing has been changed."), "{said}");
    ensure!(said.contains(&second[..8]) && cluster.running_on("planned.service").is_empty(), "{said}");
    let token = said.split("--plan ").nth(1).and_then(|rest| rest.split('"').next()).context(said.clone())?;

    person.fleetctl(&format!("cordon {second}"))?;
    let refused = cluster.node(1).exec(at_home(&["start", "--plan", token]))?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(said.contains("nothing was done") && said.contains("is cordoned"), "{said}");
    let explained = person.fleetctl("list-unit-files --no-legend")?;
    ensure!(!explained.contains("planned.service"), "it was created: {explained}");
    person.fleetctl(&format!("uncordon {second}"))?;
    cluster.node(1).exec(at_home(&["start", "--plan", token]))?.ok()?;
    ensure!(once(cluster, &["planned.service"])?["planned.service"].machine == 2);

    // A file answers as the cluster does.
    let snapshot = person.fleetctl("snapshot")?;
    person.save("cluster.json", snapshot)?;
    for question in [format!("--lose {first}"), format!("--drain {second}"), format!("--metadata {second} zone=c")] {
        let answer = |words: String| -> Result<Value> { Ok(serde_json::from_str(&person.types(&words)?.stdout)?) };
        let live = answer(format!("plan -o json {question}"))?;
        let offline = answer(format!("plan -o json --snapshot cluster.json {question}"))?;
        ensure!(live["units"] == offline["units"] && live["units"] != Value::Array(Vec::new()), "{live}\n{offline}");
    }
    Ok(())
}

/// One at a time leave the machine that has too many, and nothing else moves.
pub(crate) fn rebalanced(cluster: &Cluster, person: Person<'_>) -> Result<()> {
    let others = [2, 3].map(|node| cluster.node(node).machine_id().to_string()).join(" ");
    person.fleetctl(&format!("cordon {others}"))?;
    person.save("even@.service", sleeper_with(""))?;
    let units = ["even@1.service", "even@2.service", "even@3.service", "even@4.service"];
    person.fleetctl(&format!("start {}", units.join(" ")))?;
    ensure!(once(cluster, &units)?.values().all(|run| run.machine == 1));
    person.fleetctl(&format!("uncordon {others}"))?;
    let before = cluster.running_on("here.service");
    let plan = person.fleetctl("rebalance --dry-run")?;
    let moves = plan.lines().filter(|line| line.starts_with("even@")).count();
    ensure!(moves >= 2 && once(cluster, &units)?.values().all(|run| run.machine == 1), "{plan}");
    let said = person.fleetctl("rebalance")?;
    ensure!(said.lines().filter(|line| line.contains(" moved to ")).count() == moves, "{said}");
    let runs = once(cluster, &units)?;
    ensure!(runs.values().filter(|run| run.machine != 1).count() == moves, "{runs:?}");
    ensure!(cluster.running_on("here.service") == before, "what stays has moved");
    let again = person.fleetctl("rebalance")?;
    ensure!(again.starts_with("Nothing to move"), "{again}");
    Ok(())
}
