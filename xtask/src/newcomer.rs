//! `cargo xtask newcomer`: a Debian that has nothing, the package, and what somebody does who has only the pages.
//!
//! ```text
//!   debootstrap ─► Node of this machine, the package (apt) ─► a clone ─► each step in one shell, in namespaces of its own
//! ```
//!
//! Every step names the page that it stands on, and is typed as it stands there: one that a page no longer has ends the journey before it
//! begins.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

/// A page, and what is typed of it. A page that runs the program by cargo has it as `roadbed` here, since it is installed.
struct Step {
    page: &'static str,
    typed: &'static str,
}

const fn step(page: &'static str, typed: &'static str) -> Step {
    Step { page, typed }
}

/// What a newcomer would not find on a page, because it is about this journey.
const OWN: &str = "";

const STEPS: &[Step] = &[
    step("docs/first-hour.md", "roadbed doctor"),
    // Up.
    step("docs/cli.md", "roadbed up --detach"),
    step(OWN, "visit www && visit admin && visit api /health"),
    // Break something.
    step(
        "docs/first-hour.md",
        "kill -9 $(roadbed status --json | jq '.units[] | select(.kind == \"app\") | .pid' | head -1)",
    ),
    step("docs/first-hour.md", "roadbed status"),
    step(OWN, "again visit www && again visit api /health"),
    // Deploy twice, and back.
    step(
        OWN,
        "git checkout --quiet -B develop && printf 'sk_test_%s' $(od -An -N12 -tx1 /dev/urandom | tr -d ' ') | roadbed secrets set --env staging PAYMENT_SECRET_KEY",
    ),
    step("README.md", "roadbed up --env staging --free-ports --detach"),
    step("README.md", "roadbed deploy --env staging --free-ports"),
    step(OWN, "echo '// next' >> apps/api/src/server.ts && git commit --quiet -am 'A change'"),
    step("README.md", "roadbed deploy --env staging --free-ports"),
    step("docs/infra/runbook.md", "roadbed rollback --env staging --dry-run"),
    step("docs/infra/runbook.md", "roadbed rollback --env staging"),
    step("README.md", "roadbed ready --env staging"),
    // Lose the machine, and have it back.
    step("docs/infra/runbook.md", "roadbed incident open --env staging 'What visitors see, in one sentence'"),
    step("docs/infra/runbook.md", "roadbed incident close --env staging"),
    // As `roadbed backup now` says where there are none.
    step(OWN, "printf '\\n[environments.local.backup]\\n' >> roadbed.toml && roadbed up --detach"),
    step("docs/cli.md", "roadbed backup now"),
    step("docs/cli.md", "roadbed drill"),
    step(
        OWN,
        "roadbed backup recovery-key > /root/recovery-key && cp /root/.config/roadbed/identity /root/operator-key",
    ),
    step(OWN, "lose_everything"),
    step(OWN, "roadbed restore --from .roadbed-backups/local --identity /root/operator-key < /root/recovery-key"),
    step(OWN, "again visit www && again visit api /health"),
    step("docs/cli.md", "roadbed down"),
];

/// Makes the system the root of these namespaces, and sets out.
const ENTRY: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
pivot_root . mnt
umount -l /mnt
exec /bin/bash /root/journey
"#;

/// What the steps of our own use.
const WORDS: &str = r#"
visit() {
  local url=$(roadbed status --json | jq -r ".urls | to_entries[] | select(.value | contains(\"://$1.\")) | .value" | head -1)
  curl --silent --show-error --fail --output /dev/null --cacert .roadbed/tls/ca.pem "${url%/}${2:-/}"
}
again() { local tries=0; until "$@"; do tries=$((tries + 1)); [ $tries -lt 60 ] || return 1; sleep 1; done; }
lose_everything() {
  roadbed down --env staging; pkill -9 -x roadbed; pkill -9 mongod; pkill -9 redis-server; pkill -9 node; sleep 1
  rm -rf .roadbed /root/.local/state/roadbed /root/.config/roadbed
}
"#;

/// Roadbed has sources of both engines for it.
const SUITE: &str = "bookworm";

/// Sets out, in a system below `target/newcomer` that is made unless it is there. What an earlier journey left in its home goes.
pub(crate) fn run(deb: &Path, mirror: Option<&str>) -> ExitCode {
    match travel(deb, mirror) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("newcomer: {why}");
            ExitCode::FAILURE
        }
    }
}

fn travel(deb: &Path, mirror: Option<&str>) -> Result<(), String> {
    every_step_stands_on_its_page()?;
    let build = env::var_os("CARGO_TARGET_DIR").map_or_else(|| xtask::repository().join("target"), PathBuf::from);
    let system = build.join("newcomer").join(SUITE);
    if !system.join("var/lib/dpkg/status").is_file() {
        ended(Command::new("debootstrap").args(["--variant=minbase", SUITE]).arg(&system).args(mirror))?;
    }
    let _ = fs::remove_dir_all(system.join("root"));
    let shop = system.join("root/shop");
    create(&system.join("root"))?;
    ended(Command::new("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(xtask::repository()).arg(&shop))?;
    copy(deb, &system.join("root/roadbed.deb"))?;
    way_to_the_registries(&system)?;
    node_of_this_machine(&system)?;
    write(&system.join("root/journey"), &script())?;
    // Whatever it starts ends with it.
    let entry = build.join("newcomer/enter");
    write(&entry, ENTRY)?;
    let mut namespaces = Command::new("unshare");
    namespaces.args(["--mount", "--pid", "--fork", "--kill-child", "bash"]).arg(&entry).arg(&system).env_clear();
    namespaces.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    let is_of_the_way = |name: &str| {
        let ends = ["_proxy", "_cert", "_certs", "_bundle", "cert_file", "cert_dir"];
        ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end))
    };
    namespaces.envs(env::vars().filter(|(name, _)| is_of_the_way(name)));
    match namespaces.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("the journey ended early; {} is as it was then", shop.display())),
        Err(error) => Err(format!("cannot start unshare: {error}")),
    }
}

/// The pages that speak to newcomers run the program by cargo where a checkout is what they have.
fn every_step_stands_on_its_page() -> Result<(), String> {
    for Step { page, typed } in STEPS.iter().filter(|step| step.page != OWN) {
        let text = xtask::text(page).ok_or_else(|| format!("{page} is no text"))?;
        let by_cargo = typed.replace("roadbed ", "cargo run -- ");
        if !text.contains(typed) && !text.contains(&by_cargo) {
            return Err(format!("{page} has no longer `{typed}`"));
        }
    }
    Ok(())
}

/// Name servers, certificates and addresses of registries that this machine was given.
fn way_to_the_registries(system: &Path) -> Result<(), String> {
    let home = env::var("HOME").unwrap_or_default();
    let given = [
        ("/etc/resolv.conf".to_owned(), "etc/resolv.conf"),
        ("/etc/pip.conf".to_owned(), "etc/pip.conf"),
        (format!("{home}/.npmrc"), "root/.npmrc"),
        ("/usr/etc/npmrc".to_owned(), "usr/local/etc/npmrc"),
    ];
    for (from, to) in given.iter().filter(|(from, _)| Path::new(from).is_file()) {
        copy(Path::new(from), &system.join(to))?;
    }
    let own = Path::new("/usr/local/share/ca-certificates");
    if own.is_dir() {
        create(&system.join("usr/local/share"))?;
        ended(Command::new("cp").arg("-a").arg(own).arg(system.join("usr/local/share")))?;
    }
    Ok(())
}

/// Debian 12 has an older one than the product's apps want.
fn node_of_this_machine(system: &Path) -> Result<(), String> {
    let local = system.join("usr/local");
    create(&local.join("bin"))?;
    create(&local.join("lib"))?;
    let found =
        Command::new("node").args(["-p", "process.execPath"]).output().map_err(|error| format!("node: {error}"))?;
    let node = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let modules = node.parent().and_then(Path::parent).map(|above| above.join("lib/node_modules"));
    let modules = modules.filter(|modules| modules.is_dir()).ok_or("npm does not lie beside node")?;
    copy(&node, &local.join("bin/node"))?;
    ended(Command::new("cp").arg("-a").arg(modules).arg(local.join("lib")))?;
    ended(Command::new("ln").args(["-sf", "../lib/node_modules/npm/bin/npm-cli.js"]).arg(local.join("bin/npm")))
}

fn script() -> String {
    let mut script = format!(
        "export DEBIAN_FRONTEND=noninteractive HOME=/root TERM=dumb\ncd /root\n\
         apt-get -qq update && apt-get -qqy install --no-install-recommends ./roadbed.deb git curl jq procps ca-certificates nftables python3-pip chromium && update-ca-certificates >/dev/null || exit 1\n\
         git config --global user.name Newcomer && git config --global user.email newcomer@shop.example\n\
         cd shop || exit 1\n{WORDS}"
    );
    for Step { page, typed } in STEPS {
        let from = if *page == OWN { "-" } else { page };
        let _ = writeln!(script, "echo \"=== [$SECONDS s] {from}: {}\"", typed.replace(['"', '$', '\\'], "'"));
        let _ = writeln!(script, "{typed} || {{ echo \"=== it failed with $?\"; exit 1; }}");
    }
    script + "echo \"=== [$SECONDS s] the journey is over\"\n"
}

fn ended(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_stands_on_its_page() {
        super::every_step_stands_on_its_page().unwrap();
    }
}
