use super::*;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn place(version: Version, folder: &str, controllers: &[&str]) -> Place {
    Place { version, folder: folder.into(), controllers: set(controllers) }
}

#[test]
fn a_machine_with_v2_alone() {
    let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let places = places_of(mounts, "0::/system.slice/shop.service\n");
    assert_eq!(places, [place(Version::V2, "/sys/fs/cgroup/system.slice/shop.service", &["memory", "pids", "cpu"])]);
}

#[test]
fn a_machine_with_v1_and_an_empty_v2_beside_it() {
    let mounts = "40 39 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
        41 39 0:35 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        42 39 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        43 39 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
        44 39 0:38 / /proc rw - proc proc rw\n";
    let own = "8:pids:/\n4:memory:/jobs/one\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n";
    let places = places_of(mounts, own);
    assert_eq!(
        places,
        [
            place(Version::V1, "/sys/fs/cgroup/pids/", &["pids"]),
            place(Version::V1, "/sys/fs/cgroup/memory/jobs/one", &["memory"]),
            place(Version::V1, "/sys/fs/cgroup/cpu/", &["cpu"]),
        ]
    );
}

#[test]
fn in_a_container_the_mounted_part_is_the_top() {
    let mounts = "41 39 0:35 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let inside = places_of(mounts, "4:memory:/docker/77/shop\n");
    assert_eq!(inside, [place(Version::V1, "/sys/fs/cgroup/memory/shop", &["memory"])]);
}

#[test]
fn nothing_mounted_and_nonsense_are_no_place() {
    assert!(places_of("", "0::/\n").is_empty());
    assert!(places_of("30 23 - \n - \n", "::\n0:\n\n").is_empty());
    assert!(matches!(Groups::make_at(&[], "roadbed-x"), Err(NoGroups::NotMounted)));
}

/// A folder with the files that a group of v2 has.
fn v2_folder(folder: &Path, controllers: &str, down: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("cgroup.controllers"), controllers).unwrap();
    fs::write(folder.join("cgroup.subtree_control"), down).unwrap();
}

#[test]
fn in_v2_the_nearest_group_above_that_hands_down_is_the_place() {
    let machine = tempfile::tempdir().unwrap();
    let top = machine.path().join("top");
    let own = top.join("shop.service");
    v2_folder(&top, "cpu memory pids io", "memory pids cpu");
    // It has no controllers of its own to hand down.
    v2_folder(&own, "", "");
    v2_folder(&top.join("roadbed-x"), "cpu memory pids", "");
    let places = [Place { version: Version::V2, folder: own, controllers: set(&CONTROLLERS) }];
    let groups = Groups::make_at(&places, "roadbed-x").unwrap();
    assert_eq!(groups.folders(), [top.join("roadbed-x")]);

    let unit = top.join("roadbed-x/api-1");
    fs::create_dir(&unit).unwrap();
    for file in ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs"] {
        fs::write(unit.join(file), "").unwrap();
    }
    let limits = Limits { memory: Some(64 << 20), processes: Some(20), cpu: Some(1500) };
    let group = groups.group("api-1", &limits).unwrap();
    assert_eq!(fs::read_to_string(unit.join("cpu.max")).unwrap(), "150000 100000");
    assert_eq!(fs::read_to_string(unit.join("memory.swap.max")).unwrap(), "0");
    fs::write(unit.join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
    fs::write(unit.join("memory.current"), "4096\n").unwrap();
    let used = group.used();
    assert_eq!((used.limits, used.memory, used.killed_for_memory), (limits, Some(4096), 2));
    group.join(77).unwrap();
    assert!(group.has(77) && !group.has(7));
}

#[test]
fn v2_without_the_controllers_is_said_so() {
    let machine = tempfile::tempdir().unwrap();
    v2_folder(machine.path(), "cpu io", "");
    let places = [Place { version: Version::V2, folder: machine.path().to_owned(), controllers: set(&CONTROLLERS) }];
    let refused = Groups::make_at(&places, "roadbed-x").unwrap_err();
    assert!(matches!(refused, NoGroups::NotOurs { .. }));
}
