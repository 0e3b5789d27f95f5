//! `cargo xtask release`: what is given to others, and whether it can be installed.
//!
//! ```text
//!   cargo build --profile dist, or --binary FILE ─► stripped program ─► man pages, completions (by the program itself)
//!      └─► .deb (dpkg-deb), Containerfile, bill of materials (CycloneDX, from Cargo.lock) ─► SHA256SUMS over all of it
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// One sentence that says what failed.
type Done<T = ()> = Result<T, String>;

/// Where everything lies, below the build folder.
const ARTIFACTS: &str = "release-artifacts";

/// Shared libraries that the program may need, and the Debian packages that have them.
const LIBRARIES: &[(&str, &str)] = &[
    ("libc.so.", "libc6"),
    ("libm.so.", "libc6"),
    ("ld-linux", "libc6"),
    ("libgcc_s.so.1", "libgcc-s1"),
    ("libstdc++.so.6", "libstdc++6"),
];

/// Names of shells, and where Debian keeps what they complete by.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/roadbed"),
    ("zsh", "usr/share/zsh/vendor-completions/_roadbed"),
    ("fish", "usr/share/fish/vendor_completions.d/roadbed.fish"),
];

/// Makes everything, of a program that was built before or is built now.
pub(crate) fn run(binary: Option<&Path>, checked: bool) -> ExitCode {
    let outcome = make(binary).and_then(|made| if checked { check(&made) } else { Ok(()) });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("release: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Made {
    folder: PathBuf,
    deb: PathBuf,
    version: String,
}

fn make(binary: Option<&Path>) -> Done<Made> {
    let build = env::var_os("CARGO_TARGET_DIR").map_or_else(|| xtask::repository().join("target"), PathBuf::from);
    let folder = build.join(ARTIFACTS);
    // What an earlier version left would be in the sums.
    let _ = fs::remove_dir_all(&folder);
    create(&folder)?;
    let built = match binary {
        Some(binary) => binary.to_owned(),
        None => compile(&build)?,
    };
    let program = folder.join("roadbed");
    // The copy is what is given away; the symbols stay with whoever built it.
    ended(Command::new("strip").arg("--strip-debug").arg("-o").arg(&program).arg(&built))?;
    let version = said(Command::new(&program).arg("--version"))?;
    let version = version.trim().strip_prefix("roadbed ").ok_or("the program does not say its version")?.to_owned();
    ended(Command::new(&program).args(["--quiet", "man", "--to"]).arg(folder.join("man")))?;
    create(&folder.join("completions"))?;
    for (shell, _) in SHELLS {
        write(
            &folder.join(format!("completions/roadbed.{shell}")),
            &said(Command::new(&program).args(["completions", shell]))?,
        )?;
    }
    // A program that is only tried out is not worth half a minute of compression.
    let deb = debian(&folder, &program, &version, if binary.is_some() { &["-Zgzip", "-z1"] } else { &["-Zxz"] })?;
    write(&folder.join("Containerfile"), &containerfile(&deb))?;
    write(&folder.join("bill-of-materials.cdx.json"), &bill(&version)?)?;
    sums(&folder)?;
    eprintln!("release: {} {version}, in {}", built.display(), folder.display());
    Ok(Made { folder, deb, version })
}

/// Static, so that it runs on every Linux of its architecture, where this machine has a libc to link; and said plainly where it has not.
/// That of glibc looks names up in files and at name servers without loading anything, from 2.34 on.
fn compile(build: &Path) -> Done<PathBuf> {
    let libc = said(Command::new("gcc").arg("-print-file-name=libc.a"))?;
    let is_static = Path::new(libc.trim()).is_absolute();
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "dist", "--package", "roadbed", "--locked"]).current_dir(xtask::repository());
    if is_static {
        // With a target of its own the flag is for the program, and not for what builds it.
        cargo.args(["--target", &target]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    } else {
        eprintln!("release: not static: there is no libc.a; the program will need this machine's libc or a newer one");
    }
    ended(&mut cargo)?;
    Ok(if is_static { build.join(target).join("dist/roadbed") } else { build.join("dist/roadbed") })
}

fn debian(folder: &Path, program: &Path, version: &str, compression: &[&str]) -> Done<PathBuf> {
    let tree = folder.join("tree");
    let place = |from: &Path, to: &str| {
        let to = tree.join(to);
        create(to.parent().expect("a file lies in a folder"))?;
        fs::copy(from, &to)
            .map(|_| ())
            .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
    };
    place(program, "usr/bin/roadbed")?;
    for page in list(&folder.join("man"))? {
        let name = page.file_name().expect("a listed file has a name").to_string_lossy().into_owned();
        place(&page, &format!("usr/share/man/man1/{name}"))?;
        // Without a time, so that the same pages make the same package.
        ended(Command::new("gzip").args(["-9", "-n"]).arg(tree.join(format!("usr/share/man/man1/{name}"))))?;
    }
    for (shell, path) in SHELLS {
        place(&folder.join(format!("completions/roadbed.{shell}")), path)?;
    }
    place(&xtask::repository().join("LICENSE"), "usr/share/doc/roadbed/copyright")?;
    place(&xtask::repository().join("CHANGELOG.md"), "usr/share/doc/roadbed/changelog")?;
    ended(Command::new("gzip").args(["-9", "-n"]).arg(tree.join("usr/share/doc/roadbed/changelog")))?;

    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
    let size = said(Command::new("du").args(["-sk", "--apparent-size"]).arg(&tree))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let mut control = format!(
        "Package: roadbed
Version: {version}
Architecture: {architecture}
Maintainer: Roadbed <roadbed@localhost>
Installed-Size: {size}
Section: admin
Priority: optional
Recommends: nodejs (>= 20.19), npm, git, nftables, ca-certificates, python3-pip
Suggests: chromium
"
    );
    let depends = depends(program)?;
    if !depends.is_empty() {
        let _ = writeln!(control, "Depends: {depends}");
    }
    control += "Description: environments of a product from one manifest, proved on the live system
 One program brings up apps, MongoDB, Redis and a TLS edge as roadbed.toml says,
 keeps them so, deploys without a request lost, and proves its promises by
 looking at what runs. `roadbed init` writes the first manifest.
";
    create(&tree.join("DEBIAN"))?;
    write(&tree.join("DEBIAN/control"), &control)?;
    let deb = folder.join(format!("roadbed_{version}_{architecture}.deb"));
    ended(
        Command::new("dpkg-deb")
            .args(compression)
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&deb)
            .stdout(Stdio::null()),
    )?;
    fs::remove_dir_all(&tree).map_err(|error| format!("cannot remove {}: {error}", tree.display()))?;
    Ok(deb)
}

/// Packages of the shared libraries that a program says it needs, libc by the newest of its symbols that are used.
fn depends(program: &Path) -> Done<String> {
    let told = said(Command::new("objdump").arg("-p").arg(program))?;
    let mut packages: Vec<&str> = Vec::new();
    for library in told.lines().filter_map(|line| line.trim().strip_prefix("NEEDED")).map(str::trim) {
        let known = LIBRARIES.iter().find(|(begin, _)| library.starts_with(begin));
        let (_, package) = known
            .ok_or_else(|| format!("no package is known for {library}: add it to LIBRARIES in xtask/src/release.rs"))?;
        if !packages.contains(package) {
            packages.push(package);
        }
    }
    packages.sort_unstable();
    let version = |line: &str| {
        let (_, version) = line.split_once("GLIBC_")?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.split('.').next()?.parse::<u32>().ok()?))
    };
    let newest = told.lines().filter_map(version).max();
    let written = packages.iter().map(|package| match (*package, newest) {
        ("libc6", Some((major, minor))) => format!("libc6 (>= {major}.{minor})"),
        (package, _) => package.to_owned(),
    });
    Ok(written.collect::<Vec<_>>().join(", "))
}

fn containerfile(deb: &Path) -> String {
    let deb = deb.file_name().expect("a package has a name").to_string_lossy();
    format!(
        "# Roadbed in a container, beside what it runs: `podman build -t roadbed -f Containerfile .` in this folder.
# Mount the product at /product and keep /product/.roadbed and /root/.local: data, and the keys that open it. A plain container may not
# mount or filter packets: `roadbed doctor` in it says what is less than on a host.
ARG BASE=debian:trixie-slim
FROM ${{BASE}}
COPY {deb} /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/{deb} nodejs npm git nftables ca-certificates python3-pip && rm -rf /var/lib/apt/lists/* /tmp/{deb}
WORKDIR /product
STOPSIGNAL SIGTERM
ENTRYPOINT [\"roadbed\"]
CMD [\"up\"]
"
    )
}

/// What the lock file names, in CycloneDX: more than is compiled for one machine, never less.
fn bill(version: &str) -> Done<String> {
    let lock = xtask::text("Cargo.lock").ok_or("Cargo.lock is no text")?;
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let mut components = Vec::new();
    for block in lock.split("[[package]]").skip(1) {
        let (Some(name), Some(of)) = (value(block, "name"), value(block, "version")) else { continue };
        let hash = value(block, "checksum").map(|sum| format!(r#","hashes":[{{"alg":"SHA-256","content":"{sum}"}}]"#));
        components.push(format!(
            r#"{{"type":"library","name":"{name}","version":"{of}","purl":"pkg:cargo/{name}@{of}"{}}}"#,
            hash.unwrap_or_default()
        ));
    }
    Ok(format!(
        "{{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"version\":1,\"metadata\":{{\"component\":{{\"type\":\"application\",\"name\":\"roadbed\",\"version\":\"{version}\"}}}},\"components\":[\n{}\n]}}\n",
        components.join(",\n")
    ))
}

fn sums(folder: &Path) -> Done {
    let mut names = Vec::new();
    for path in list(folder)? {
        if path.is_dir() { names.extend(list(&path)?) } else { names.push(path) }
    }
    let names: Vec<PathBuf> =
        names.iter().filter_map(|path| path.strip_prefix(folder).ok()).map(Path::to_owned).collect();
    let text = said(Command::new("sha256sum").args(names).current_dir(folder))?;
    write(&folder.join("SHA256SUMS"), &text)
}

/// Installs the package into a system of its own and uses what came of it.
fn check(made: &Made) -> Done {
    ended(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&made.folder))?;
    let system = made.folder.with_file_name("release-check");
    let _ = fs::remove_dir_all(&system);
    create(&system.join("var/lib/dpkg/info"))?;
    create(&system.join("var/lib/dpkg/updates"))?;
    write(&system.join("var/lib/dpkg/status"), "")?;
    // The libraries that it depends on are this machine's, of which that system's dpkg knows nothing.
    let dpkg = |words: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", system.display())).args(["--force-not-root", "--force-depends"]).args(words);
        dpkg.stdout(Stdio::null()).stderr(Stdio::null());
        dpkg
    };
    ended(dpkg(&["--install"]).arg(&made.deb))?;
    let program = system.join("usr/bin/roadbed");
    let version = said(Command::new(&program).arg("--version"))?;
    if version.trim() != format!("roadbed {}", made.version) {
        return Err(format!("what was installed says {version}"));
    }
    let home = system.join("home");
    create(&home)?;
    let mut doctor = Command::new(&program);
    doctor.args(["doctor", "--json"]).current_dir(&home).env_clear();
    doctor.env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", &home);
    let told = doctor.output().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    if !told.contains("\"findings\":[{") {
        return Err(format!("its doctor says {told:?}"));
    }
    let pages = list(&system.join("usr/share/man/man1"))?;
    for page in &pages {
        ended(Command::new("gzip").arg("--test").arg(page))?;
    }
    for (_, path) in SHELLS {
        if !system.join(path).is_file() {
            return Err(format!("{path} was not installed"));
        }
    }
    ended(dpkg(&["--purge", "roadbed"]).stdout(Stdio::null()))?;
    if program.exists() {
        return Err("it stays when it is removed".to_owned());
    }
    eprintln!("release: {} installs, runs and goes; {} man pages", made.deb.display(), pages.len());
    fs::remove_dir_all(&system).map_err(|error| format!("cannot remove {}: {error}", system.display()))
}

fn ended(command: &mut Command) -> Done {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

fn said(command: &mut Command) -> Done<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?} ended with {}", output.status))
    }
}

fn create(folder: &Path) -> Done {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

fn write(path: &Path, text: &str) -> Done {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// In order of name, so that what is made of them is always the same.
fn list(folder: &Path) -> Done<Vec<PathBuf>> {
    let cannot = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        paths.push(entry.map_err(cannot)?.path());
    }
    paths.sort();
    Ok(paths)
}
