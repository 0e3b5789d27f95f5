//! Rules of STYLE.md that a machine can hold.

/// Entries of Cargo.lock. Each is compiled, audited and updated by somebody: raise this only on purpose, and say why in
/// ARCHITECTURE.md.
const LOCK_BUDGET: usize = 766;

/// A file of this many lines, tests aside, answers more than one question.
const MOST_LINES: usize = 700;

fn sources() -> impl Iterator<Item = (String, String)> {
    xtask::files()
        .into_iter()
        .filter(|file| file.ends_with(".rs") || file.ends_with(".ts") || file.ends_with(".tsx"))
        .map(|file| (file.clone(), xtask::text(&file).expect("a source is text")))
}

#[test]
fn the_lock_file_stays_within_its_budget() {
    let lock = xtask::text("Cargo.lock").expect("the lock file is text");
    let entries = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(entries <= LOCK_BUDGET, "Cargo.lock has {entries} entries, the budget is {LOCK_BUDGET}");
}

#[test]
fn no_file_is_long() {
    for (file, text) in sources() {
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= MOST_LINES, "{file} has {lines} lines before its tests");
    }
}

#[test]
fn no_file_is_a_drawer() {
    for file in xtask::files() {
        let name = file.rsplit('/').next().unwrap_or(&file);
        let stem = name.split('.').next().unwrap_or(name);
        assert!(
            !["util", "utils", "common", "helpers", "misc", "manager"].contains(&stem),
            "{file}: name it after its noun"
        );
    }
}

#[test]
fn no_shell_stands_between_us_and_a_program() {
    // Assembled, so that this file does not find itself.
    let shell = ["sh", r#""sh","#].map(|name| format!("{name} {}c", if name == "sh" { "-" } else { r#""-"# }));
    // A test may well start a shell: as the program that misbehaves.
    let of_the_product = |file: &str| !file.split('/').any(|part| part == "tests");
    for (file, text) in sources().filter(|(file, _)| of_the_product(file)) {
        assert!(!shell.iter().any(|shell| text.contains(shell)), "{file} runs a shell: give the argument vector");
    }
}

#[test]
fn no_registry_is_named() {
    // Which one serves a package is a setting of whoever installs it. Assembled, as above.
    let hosts = [["crates", "io"], ["pypi", "org"], ["npmjs", "org"], ["deb.debian", "org"], ["pythonhosted", "org"]];
    for file in xtask::files().into_iter().filter(|file| !file.ends_with("Cargo.lock")) {
        let Some(text) = xtask::text(&file) else { continue };
        for host in &hosts {
            assert!(!text.contains(&host.join(".")), "{file} names a registry's host");
        }
    }
}
