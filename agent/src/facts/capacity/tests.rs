//! A machine that promises more than it has kills units; one that promises less stays empty.

use super::*;

const MEMINFO: &str = "MemTotal:        8000000 kB\nMemFree:         1000 kB\n";
const MEMORY: u64 = 8_000_000 * 1024;
const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
const NO_LIMIT: &str = "9223372036854771712\n";

/// A machine of 8 processors with these files beside those that every machine has.
fn found(manager: Manager, files: &[(&str, &str)]) -> (Option<u64>, Option<u64>) {
    let root = tempfile::tempdir().unwrap();
    let base = [
        ("proc/meminfo", MEMINFO),
        ("sys/devices/system/cpu/online", "0-7\n"),
        ("proc/1/status", "Name:\tsystemd\nCpus_allowed:\tffff\nCpus_allowed_list:\t0-127\n"),
    ];
    for (path, text) in base.iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let capacity = below(root.path(), manager);
    (capacity.memory, capacity.cpu_millis)
}

fn system(files: &[(&str, &str)]) -> (Option<u64>, Option<u64>) {
    found(Manager::System, files)
}

#[test]
fn a_machine_without_limits_has_what_the_kernel_says() {
    let all = (Some(MEMORY), Some(8000));
    assert_eq!(system(&[]), all);
    assert_eq!(system(&[("proc/1/cgroup", "0::/init.scope\n"), ("proc/self/mountinfo", V2)]), all);
    // The root of a real machine's hierarchy has no such files; version 1 has them, with numbers that are no limits.
    let first = [
        ("proc/1/cgroup", "5:memory:/\n4:cpuset:/\n3:cpu,cpuacct:/\n1:name=systemd:/init.scope\n"),
        ("proc/self/mountinfo", V1),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-7\n"),
    ];
    assert_eq!(system(&first), all);
}

#[test]
fn a_container_has_what_its_group_is_allowed() {
    // A view of its own: its group is the root. The limits are on that.
    let own = [
        ("proc/1/cgroup", "0::/init.scope\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/memory.max", "2147483648\n"),
        ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/cpuset.cpus.effective", "0-3\n"),
    ];
    assert_eq!(system(&own), (Some(2 << 30), Some(1500)));
    // It sees the host's hierarchy: the limits may be on any group above its own.
    let shared = [
        ("proc/1/cgroup", "0::/machine.slice/lab/payload/init.scope\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/machine.slice/memory.max", "max\n"),
        ("sys/fs/cgroup/machine.slice/lab/memory.max", "3221225472\n"),
        ("sys/fs/cgroup/machine.slice/lab/payload/memory.max", "4294967296\n"),
        ("sys/fs/cgroup/machine.slice/lab/payload/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/machine.slice/lab/payload/cpuset.cpus.effective", "2,5-6\n"),
    ];
    assert_eq!(system(&shared), (Some(3 << 30), Some(3000)));
}

#[test]
fn the_first_version_limits_as_the_second_does() {
    let mounts = V1.replace("0:32 / ", "0:32 /docker/abc ");
    let files = [
        ("proc/1/cgroup", "5:memory:/docker/abc\n4:cpuset:/docker\n3:cpu,cpuacct:/docker/abc\n0::/\n"),
        ("proc/self/mountinfo", &mounts),
        // Only this group is mounted, at the place of the hierarchy.
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
        ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpuset/docker/cpuset.effective_cpus", "0-1\n"),
    ];
    assert_eq!(system(&files), (Some(1 << 30), Some(2000)), "two processors are less than two and a half");
}

#[test]
fn what_fleetd_itself_is_allowed_is_not_the_machines_limit() {
    let files = [
        ("proc/1/cgroup", "0::/init.scope\n"),
        ("proc/self/cgroup", "0::/system.slice/fleet.service\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/system.slice/fleet.service/memory.max", "67108864\n"),
        ("sys/fs/cgroup/user.slice/user-7.slice/memory.max", "1073741824\n"),
    ];
    assert_eq!(system(&files).0, Some(MEMORY));
    assert_eq!(found(Manager::User(7), &files).0, Some(1 << 30), "units of a user are held by that user's slice");
    assert_eq!(found(Manager::User(8), &files).0, Some(MEMORY));
}

#[test]
fn systemd_may_be_kept_to_some_processors() {
    let files = [("proc/1/status", "Cpus_allowed_list:\t1,3\n")];
    assert_eq!(system(&files).1, Some(2000));
    let unusual = [("proc/1/status", "Cpus_allowed_list:\t64-65\n")];
    assert_eq!(system(&unusual).1, Some(8000), "sets without a common processor say nothing");
}

#[test]
fn files_that_make_no_sense_set_no_limit() {
    let files = [
        ("proc/1/cgroup", "nonsense\n0::/a\n:::\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/a/memory.max", "lots\n"),
        ("sys/fs/cgroup/a/cpu.max", "100000 0\n"),
        ("sys/fs/cgroup/a/cpuset.cpus.effective", "0-99999999999\n"),
    ];
    assert_eq!(system(&files), (Some(MEMORY), Some(8000)));
    assert_eq!(below(Path::new("/nonexistent"), Manager::System), Capacity::default());
    assert_eq!(total_memory("MemFree: 1 kB\n"), None);
}

#[test]
fn this_machine_has_some() {
    let capacity = capacity(Manager::System);
    assert!(capacity.memory.is_some_and(|bytes| bytes > 1 << 20), "{capacity:?}");
    assert!(capacity.cpu_millis.is_some_and(|millis| millis > 0), "{capacity:?}");
}
