//! What a lab can do to its machines on purpose.

use std::fs;

use anyhow::ensure;
use fleet_tests::lab::{Lab, SHARED, wait_for};

use super::{LIMIT, reach};

#[test]
fn the_network_is_cut_and_comes_back() {
    Lab::builder().machines(3).run(|lab| {
        reach(lab, 2, 1).unwrap();
        lab.node(1).cut_network()?;
        assert!(reach(lab, 2, 1).is_err(), "reached a machine whose cable is unplugged");
        reach(lab, 2, 3).unwrap();
        lab.node(1).restore_network()?;
        wait_for(LIMIT, || reach(lab, 2, 1));

        lab.node(2).blackhole(lab.node(1).ip())?;
        assert!(reach(lab, 2, 1).is_err(), "sent into a black hole and got an answer");
        reach(lab, 3, 1).unwrap();
        lab.node(2).unblackhole(lab.node(1).ip())?;
        wait_for(LIMIT, || reach(lab, 2, 1));
        Ok(())
    });
}

#[test]
fn a_small_disk_gets_full() {
    Lab::builder().machines(2).small_disk(1, 8 << 20).run(|lab| {
        let fill = ["dd", "if=/dev/zero", "of=/var/big", "bs=1M", "count=16"];
        let output = lab.node(1).exec(fill)?;
        assert!(!output.success() && output.stderr.contains("No space left"), "{output:?}");
        lab.node(2).exec(fill)?.ok()?;
        lab.node(1).power_off_hard()?;
        lab.node(1).boot()
    });
}

#[test]
fn machines_share_a_folder_that_no_cut_network_takes_away() {
    Lab::builder().machines(2).run(|lab| {
        let file = format!("{SHARED}/told");
        for node in lab.nodes() {
            node.cut_network()?;
            node.exec(["sh", "-c", &format!("echo {} >> {file}", node.name())])?.ok()?;
        }
        assert_eq!(fs::read_to_string(lab.shared().join("told"))?, "node1\nnode2\n");
        // A lock that one machine holds is held for the other.
        let mut holder = lab.node(1).spawn(["flock", &file, "sh", "-c", "echo held; sleep infinity"])?;
        assert_eq!(holder.next_line(LIMIT)?, "held");
        assert!(!lab.node(2).exec(["flock", "--nonblock", &file, "true"])?.success(), "two have the same lock");
        lab.node(1).power_off_hard()?;
        wait_for(LIMIT, || holder.try_wait().map_err(|e| e.to_string())?.map(drop).ok_or("it runs on".to_owned()));
        lab.node(2).exec(["flock", "--nonblock", &file, "true"])?.ok()?;
        assert_eq!((lab.offs(1).len(), lab.offs(2).len()), (1, 0));
        Ok(())
    });
}

#[test]
fn a_folder_of_one_machine_gets_full_alone() {
    Lab::builder().machines(1).small_folder(1, "/var/lib/small", 64 << 10).run(|lab| {
        let fill = |file: &str| lab.node(1).exec(["dd", "if=/dev/zero", &format!("of={file}"), "bs=4k", "count=64"]);
        let full = fill("/var/lib/small/big")?;
        assert!(full.stderr.contains("No space left"), "{full:?}");
        fill("/var/lib/big")?.ok()?;
        Ok(())
    });
}

#[test]
fn a_cloned_machine_has_the_id_of_the_other() {
    Lab::builder().machines(2).cloned_id(2, 1).run(|lab| {
        assert_eq!(lab.node(2).read_file("/etc/machine-id")?.trim(), lab.node(1).machine_id());
        Ok(())
    });
}

#[test]
fn a_restored_etcd_holds_what_its_snapshot_holds() {
    Lab::builder().run(|lab| {
        let etcd = lab.etcd(1)?;
        etcd.etcdctl(["put", "key", "saved"])?.ok()?;
        etcd.save_snapshot("first")?;
        etcd.etcdctl(["put", "key", "lost"])?.ok()?;
        etcd.restore("first", "another")?;
        ensure!(etcd.etcdctl(["get", "key", "--print-value-only"])?.ok()? == "saved\n");
        Ok(())
    });
}
