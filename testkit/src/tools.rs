//! Tools that tests measure the product with: fetched once into the user's cache, never installed on the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Where a package of Python lies, at exactly this version (`name==1.2.3`), with all that it needs: for `PYTHONPATH`.
///
/// # Panics
/// Where it cannot be had.
pub fn of_python(requirement: &str) -> PathBuf {
    assert!(requirement.contains("=="), "{requirement} names no version");
    cached(&requirement.replace("==", "-"), |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement, "--target"])
            .arg(folder);
        does(pip, &format!("install {requirement} by hand with pip to see what is in the way"));
    })
}

/// Where a program of a Rust crate lies, built at exactly this version (`name@1.2.3`) as its author locked it.
///
/// # Panics
/// Where it cannot be had.
pub fn of_cargo(requirement: &str) -> PathBuf {
    assert!(requirement.contains('@'), "{requirement} names no version");
    cached(&requirement.replace('@', "-"), |folder| {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--force", requirement, "--root"]).arg(folder);
        // What is built meanwhile is of no use afterwards, and holds no lock of the build that waits for us.
        cargo.env("CARGO_TARGET_DIR", folder.join("build")).env_remove("RUSTFLAGS");
        does(cargo, &format!("run `cargo install --locked {requirement}` by hand to see what is in the way"));
        fs::remove_dir_all(folder.join("build")).unwrap();
    })
}

/// A program of a folder of sources outside the workspace, with `Cargo.toml`, `Cargo.lock` and `src/main.rs`, built as locked. It is
/// built again where one of these is another.
///
/// # Panics
/// Where it cannot be built.
pub fn of_sources(sources: &Path, program: &str) -> PathBuf {
    let parts = ["Cargo.toml", "Cargo.lock", "src/main.rs"].map(|part| fs::read(sources.join(part)).unwrap());
    let digest: String = Sha256::digest(parts.concat()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = cached(&format!("{program}-{digest}"), |folder| {
        let build = folder.join("build");
        fs::create_dir_all(&build).unwrap();
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--locked"]).current_dir(sources);
        cargo.env("CARGO_TARGET_DIR", &build).env_remove("RUSTFLAGS");
        does(cargo, "run `cargo build --locked` by hand there to see what is in the way");
        fs::rename(build.join("debug").join(program), folder.join(program)).unwrap();
        fs::remove_dir_all(build).unwrap();
    });
    folder.join(program)
}

/// Where packages of npm lie, each at exactly its version (`name@1.2.3`), with all that they need: a folder with `node_modules`.
///
/// # Panics
/// Where they cannot be had.
pub fn of_npm(packages: &[&str]) -> PathBuf {
    assert!(packages.iter().all(|package| package[1..].contains('@')), "{packages:?}: one names no version");
    let name = packages.join("+").replace(['@', '/'], "-");
    cached(&format!("npm{name}"), |folder| {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("package.json"), r#"{"name":"tools","private":true}"#).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"])
            .args(packages)
            .current_dir(folder);
        does(npm, &format!("install {packages:?} by hand with npm to see what is in the way"));
    })
}

/// The drivers of both stores as UrbanCart's apps lock them, for `NODE_PATH`: whether the checkout's own packages are installed
/// is another test's business.
///
/// # Panics
/// Where they cannot be had.
pub fn drivers() -> PathBuf {
    let lock: serde_json::Value =
        serde_json::from_slice(&fs::read(crate::repository().join("package-lock.json")).unwrap()).unwrap();
    let locked = ["mongodb", "redis"].map(|name| {
        let version = lock["packages"][format!("node_modules/{name}")]["version"].as_str();
        format!("{name}@{}", version.unwrap_or_else(|| panic!("{name} is not in package-lock.json")))
    });
    of_npm(&locked.each_ref().map(String::as_str)).join("node_modules")
}

/// Where packages of Debian lie, unpacked side by side: programs in `usr`, libraries in `usr/lib`. The versions are those of the
/// release of this machine.
///
/// # Panics
/// Where they cannot be had.
pub fn of_debian(packages: &[&str]) -> PathBuf {
    cached(&packages.join("+"), |folder| {
        fs::create_dir_all(folder).unwrap();
        let mut apt = Command::new("apt-get");
        apt.args(["download", "--quiet", "--quiet"]).args(packages).current_dir(folder);
        does(apt, "run `apt-get update`; these tests take packages of Debian 12 or later");
        let archives = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let archives: Vec<PathBuf> = archives.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
        assert_eq!(archives.len(), packages.len(), "{packages:?}");
        for archive in archives {
            let mut dpkg = Command::new("dpkg");
            dpkg.arg("-x").args([&archive, folder]);
            does(dpkg, "the download is damaged: try again");
            fs::remove_file(archive).unwrap();
        }
    })
}

fn does(mut command: Command, hint: &str) {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: {hint}"));
    assert!(ended.status.success(), "{command:?}: {}: {hint}", String::from_utf8_lossy(&ended.stderr));
}

/// A folder of the cache, made at first use. Of several who begin at once, whoever is first wins.
fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let folder = cache.join("roadbed-tests").join(name);
    if folder.exists() {
        return folder;
    }
    let fresh = folder.with_extension(format!("{}.new", std::process::id()));
    make(&fresh);
    if fs::rename(&fresh, &folder).is_err() {
        fs::remove_dir_all(&fresh).unwrap();
    }
    folder
}
