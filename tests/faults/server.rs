//! An environment as a service: systemd's files, and a machine that is really booted with them.
//!
//! The machine is this one in namespaces of its own, with systemd as its process 1. Its network is this machine's, so visitors come from
//! outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use host::process::table;
use testkit::{processes_of, wait_until};

use crate::stage::{Stage, signal};

const SERVICE: &str = "roadbed-tiny-local.service";

/// What systemd's own review may say at most of the service, of ten: the keeper of root makes users, mounts and packet filters.
const EXPOSURE_OF_ROOT: &str = "49";
/// And of one that runs as a user of its own.
const EXPOSURE_OF_USER: &str = "31";

/// systemd's own programs need root for nothing but the machine.
fn systemd(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; `./setup` installs the package systemd"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn systemd_finds_no_fault_with_the_files_and_little_exposed() {
    let stage = Stage::new();
    stage.up();
    for (user, exposure) in [(None, EXPOSURE_OF_ROOT), (Some("shop"), EXPOSURE_OF_USER)] {
        let prefix = stage.home.join(format!("prefix-{}", user.unwrap_or("root")));
        let user = user.map(|user| format!(" --user {user}")).unwrap_or_default();
        let words = format!("server install --prefix {}{user}", prefix.display());
        stage.roadbed(&words).exits(0).says(&["etc/systemd/system/roadbed-tiny-local.service"]);
        stage.roadbed(&words).exits(0).says(&["every file is as it should be"]);
        stage.roadbed("server status").exits(0).says(&["as it should be", "starts "]);
        let file = prefix.join("etc/systemd/system").join(SERVICE);
        let verified = systemd("systemd-analyze", &["verify", "--man=no", &file.display().to_string()]);
        // Its user is made by sysusers.d, which nobody asked yet.
        let complaints = text(&verified);
        assert!(!complaints.contains(SERVICE), "{complaints}");
        let limit = format!("--threshold={exposure}");
        let review = systemd(
            "systemd-analyze",
            &["security", "--offline=yes", "--no-pager", &limit, &file.display().to_string()],
        );
        assert!(review.status.success(), "{}", text(&review));
        if !user.is_empty() {
            let sysusers = prefix.join("etc/sysusers.d/roadbed-tiny-local.conf").display().to_string();
            let made = systemd("systemd-sysusers", &["--dry-run", &sysusers]);
            assert!(made.status.success() && text(&made).contains("shop"), "{}", text(&made));
        }
        // What somebody changed is told, and written anew or left, as is asked for.
        fs::write(&file, "[Service]\n").unwrap();
        stage.roadbed("server status").exits(1).says(&["changed by hand"]);
        stage.roadbed("server uninstall --dry-run").exits(0).says(&["it was changed by hand", "tmpfiles.d"]);
        stage.roadbed("server uninstall").exits(0).says(&["was changed by hand and stays", "the root", "stays"]);
        assert!(file.exists());
        let left: Vec<PathBuf> = files_below(&prefix);
        assert_eq!(left, [file], "nothing else is left");
        stage.roadbed("server status").exits(1).says(&["not installed"]);
        stage.roadbed("server uninstall").exits(0).says(&["nothing is installed"]);
        // A file of somebody else is not written over.
        stage.roadbed(&words).refuses(1, &["is there and not ours"]);
    }
    stage.answers();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn what_was_never_up_is_not_installed_and_what_is_installed_is_not_purged() {
    let stage = Stage::new();
    stage.roadbed("server install --prefix somewhere").refuses(1, &["nothing is known", "`roadbed up --detach`"]);
    stage.up();
    stage.roadbed("server install --prefix somewhere --user Root;rm").refuses(2, &["is no name for a dedicated user"]);
    stage.roadbed(&format!("server install --prefix {}", stage.home.join("prefix").display())).exits(0);
    stage.roadbed("down --purge --i-mean local").refuses(1, &["brings it up at boot", "`roadbed server uninstall`"]);
    stage.answers();
}

/// A machine that is up.
struct Machine {
    unshare: Child,
    where_it_is: PathBuf,
}

impl Machine {
    /// Power on. What was installed below `files` lies above this machine's own files.
    fn boot(stage: &Stage, files: &Path) -> Self {
        let where_it_is = files.parent().unwrap().to_owned();
        let script = testkit::repository().join("tests/faults/boot.sh");
        let stage_folder = stage.root.parent().unwrap();
        let log = fs::File::create(where_it_is.join("console")).unwrap();
        let unshare = Command::new("unshare")
            .args(["--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "sh"])
            .args([&script, &where_it_is, &stage_folder.to_owned()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { unshare, where_it_is }
    }

    /// Its process 1, as this machine numbers it.
    fn init(&self) -> Option<u32> {
        let ours = table::entries().into_iter().filter(|entry| entry.parent == self.unshare.id());
        ours.map(|entry| entry.pid).next()
    }

    /// Runs a command in it.
    fn run(&self, words: &[&str]) -> Output {
        let init = self.init().expect("the machine is up");
        Command::new("nsenter")
            .args(["--target", &init.to_string(), "--pid", "--mount", "--cgroup", "--root", "--wd"])
            .args(words)
            .output()
            .unwrap()
    }

    fn console(&self) -> String {
        let console = fs::read(self.where_it_is.join("console")).unwrap_or_default();
        let journal = if self.init().is_some() {
            text(&self.run(&["journalctl", "--no-pager", "-n", "60"]))
        } else {
            String::new()
        };
        format!("{}\n{journal}", String::from_utf8_lossy(&console))
    }

    #[track_caller]
    fn until_active(&self, wanted: &str) {
        wait_until(&format!("the service is {wanted}"), Duration::from_secs(90), || {
            if self.init().is_none() {
                return Err(self.console());
            }
            let told = text(&self.run(&["systemctl", "is-active", SERVICE]));
            if told.trim() == wanted { Ok(()) } else { Err(format!("{told}\n{}", self.console())) }
        });
    }

    /// The process that systemd watches, as the machine numbers it and as this one does.
    fn watched(&self) -> u32 {
        let told = text(&self.run(&["systemctl", "show", "--property=MainPID", "--value", SERVICE]));
        told.trim().parse().unwrap()
    }

    fn signal_inside(&self, pid: u32) {
        assert!(self.run(&["kill", "-KILL", &pid.to_string()]).status.success());
    }

    /// The power is cut.
    fn power_off(mut self) {
        if let Some(init) = self.init() {
            signal(init, "KILL");
        }
        let _ = self.unshare.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(init) = self.init() {
            signal(init, "KILL");
        }
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

#[test]
fn a_machine_brings_its_environment_up_at_boot_and_stops_it_in_order() {
    assert!(host::own::is_root(), "this test boots a machine, which takes root");
    let stage = Stage::new();
    stage.up();
    let files = stage.folder().join("machine/files");
    fs::create_dir_all(&files).unwrap();
    stage.roadbed(&format!("server install --prefix {}", files.display())).exits(0);
    // As the machine has it: its files are where they are for good.
    let record = stage.root.join("state/server.json");
    let noted = fs::read_to_string(&record).unwrap().replace(&format!("{}/", files.display()), "/");
    fs::write(&record, noted.replace(&format!("\"{}\"", files.display()), "\"/\"")).unwrap();
    stage.roadbed("down").exits(0);

    let machine = Machine::boot(&stage, &files);
    machine.until_active("active");
    stage.answers();
    let all = ["control", "edge", "keeper", "telemetry", "web-1"];
    let status =
        machine.run(&[env!("CARGO_BIN_EXE_roadbed"), "server", "status", "--root", &stage.root.display().to_string()]);
    let told = text(&status);
    assert!(status.status.success() && told.contains("active (running), enabled"), "{told}");

    // Whoever systemd watches dies: everything goes on, and the next one joins.
    let (watched, web) = (machine.watched(), stage.pid_of("web-1"));
    machine.signal_inside(watched);
    wait_until("another is watched", Duration::from_secs(60), || {
        let now = machine.watched();
        if now != 0 && now != watched { Ok(()) } else { Err(machine.console()) }
    });
    machine.until_active("active");
    assert_eq!(stage.pid_of("web-1"), web);
    stage.answers();
    // The keeper dies: whoever is left starts the next.
    let keeper = stage.pid_of("keeper").unwrap();
    signal(keeper, "KILL");
    stage.until("another keeper", || stage.pid_of("keeper").is_some_and(|pid| pid != keeper));
    stage.until("all run once", || stage.units() == all);
    stage.answers();
    assert_eq!(stage.pid_of("web-1"), web);

    // It is moved to another program, by the machine's own command; so is whoever systemd watches, in the same process.
    let another = stage.home.join("roadbed");
    let mut program = fs::read(env!("CARGO_BIN_EXE_roadbed")).unwrap();
    program.extend_from_slice(b"another");
    fs::write(&another, program).unwrap();
    fs::set_permissions(&another, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let watched = machine.watched();
    let upgraded = machine.run(&[
        &another.display().to_string(),
        "upgrade",
        "--root",
        &stage.root.display().to_string(),
        "--manifest",
        &stage.project.join("roadbed.toml").display().to_string(),
    ]);
    assert!(upgraded.status.success(), "{}\n{}", text(&upgraded), machine.console());
    let current = fs::read_link(stage.root.join("programs/current")).unwrap().display().to_string();
    wait_until("what systemd watches is that program too", Duration::from_secs(30), || {
        let link = text(&machine.run(&["readlink", &format!("/proc/{watched}/exe")]));
        if link.contains(&current) { Ok(()) } else { Err(link) }
    });
    machine.until_active("active");
    assert_eq!((machine.watched(), stage.pid_of("web-1")), (watched, web));
    stage.answers();

    // Stopped by systemd it is stopped in order, and comes back.
    let stopped = machine.run(&["systemctl", "stop", SERVICE]);
    assert!(stopped.status.success(), "{}", text(&stopped));
    stage.is_empty();
    assert!(machine.run(&["systemctl", "start", SERVICE]).status.success(), "{}", machine.console());
    stage.answers();

    // The power is cut, and comes back.
    machine.power_off();
    assert!(processes_of(&stage.root).is_empty(), "with the machine all its processes are gone");
    let machine = Machine::boot(&stage, &files);
    machine.until_active("active");
    stage.answers();
    assert_eq!(stage.units(), all);
    // Stopped on purpose by somebody else, systemd leaves it stopped.
    let root = stage.root.display().to_string();
    let down = machine.run(&[
        env!("CARGO_BIN_EXE_roadbed"),
        "down",
        "--root",
        &root,
        "--manifest",
        &stage.project.join("roadbed.toml").display().to_string(),
    ]);
    assert!(down.status.success(), "{}", text(&down));
    machine.until_active("inactive");
    stage.is_empty();
    machine.power_off();
}

#[test]
fn a_user_of_its_own_is_made_and_runs_it_without_root_s_rights() {
    assert!(host::own::is_root(), "this test boots a machine, which takes root");
    let stage = Stage::new();
    stage.up();
    stage.roadbed("down").exits(0);
    let files = stage.folder().join("machine/files");
    fs::create_dir_all(&files).unwrap();
    stage.roadbed(&format!("server install --user tinyshop --prefix {}", files.display())).exits(0).says(&["chown"]);
    let machine = Machine::boot(&stage, &files);
    wait_until("the machine is up", Duration::from_secs(60), || {
        let told = machine.init().map(|_| text(&machine.run(&["systemctl", "is-active", "sysinit.target"])));
        if told.as_deref().is_some_and(|told| told.trim() == "active") { Ok(()) } else { Err(format!("{told:?}")) }
    });
    let own = [stage.root.display().to_string(), stage.project.display().to_string(), stage.home.display().to_string()];
    let conf = "/etc/sysusers.d/roadbed-tiny-local.conf";
    // The folders of the test's own are for nobody but who runs it.
    let open = stage.folder().display().to_string();
    for words in [
        vec!["systemd-sysusers", conf],
        vec!["chown", "-R", "tinyshop:tinyshop", &own[0], &own[1], &own[2]],
        vec!["chmod", "o+x", &open],
        vec!["systemctl", "reset-failed"],
        vec!["systemctl", "start", SERVICE],
    ] {
        let ran = machine.run(&words);
        assert!(ran.status.success(), "{words:?}: {}\n{}", text(&ran), machine.console());
    }
    machine.until_active("active");
    stage.answers();
    let inside = text(&machine.run(&["ps", "-C", "roadbed,node", "-o", "user=,args="]));
    assert!(inside.lines().count() >= 4 && inside.lines().all(|line| line.starts_with("tinyshop")), "{inside}");
    let keeper = stage.pid_of("keeper").unwrap();
    let rights = fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    // CAP_NET_BIND_SERVICE alone.
    assert!(rights.contains("CapBnd:\t0000000000000400") && rights.contains("NoNewPrivs:\t1"), "{rights}");
    let stopped = machine.run(&["systemctl", "stop", SERVICE]);
    assert!(stopped.status.success(), "{}", text(&stopped));
    stage.is_empty();
    machine.power_off();
}
