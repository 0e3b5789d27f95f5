//! Programs that Roadbed runs, and their versions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use host::process::{self, Run, find_in_path};

use crate::{Finding, Machine};

/// A program says its version within milliseconds; on a disk that sleeps it takes seconds.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// The oldest Node.js that runs what Roadbed builds; `./setup` and the errors of builds say the same.
const OLDEST_NODE: (u32, u32) = (20, 19);

pub(crate) async fn look(machine: &Machine) -> Vec<Finding> {
    let mut all = vec![node(machine).await, npm(machine), git(machine).await, packet_filter(machine), browser(machine)];
    all.extend(machine.engines.iter().map(|engine| engine_of(machine, engine)));
    all
}

async fn node(machine: &Machine) -> Finding {
    let hint = format!("install Node.js {}.{} or later; servers, builds and npm need it", OLDEST_NODE.0, OLDEST_NODE.1);
    let Some(program) = find_in_path("node", &machine.path) else {
        return Finding::missing("node", format!("there is no `node` in PATH: {}", machine.path), hint);
    };
    match version(machine, &program).await {
        Some(text) if at_least(&text, OLDEST_NODE) => {
            Finding::good("node", format!("Node.js {text}, {}", program.display()))
        }
        Some(text) => Finding::missing("node", format!("Node.js {text} is too old, {}", program.display()), hint),
        None => Finding::missing("node", format!("{} does not say its version", program.display()), hint),
    }
}

fn npm(machine: &Machine) -> Finding {
    match find_in_path("npm", &machine.path) {
        Some(program) => Finding::good("npm", program.display().to_string()),
        None => {
            Finding::missing("npm", "there is no `npm` in PATH", "it comes with Node.js; packages are installed by it")
        }
    }
}

async fn git(machine: &Machine) -> Finding {
    let hint = "install git (Debian: `apt install git`); deployments, previews and `ci` begin with a commit";
    let Some(program) = find_in_path("git", &machine.path) else {
        return Finding::less("git", "there is no `git` in PATH", hint);
    };
    match version(machine, &program).await {
        Some(text) => Finding::good("git", text),
        None => Finding::less("git", format!("{} does not say its version", program.display()), hint),
    }
}

fn packet_filter(machine: &Machine) -> Finding {
    // Debian has it where only root's PATH leads.
    let path = format!("{}:/usr/sbin:/sbin", machine.path);
    match find_in_path("nft", &path) {
        Some(program) if host::own::is_root() => Finding::good("packet-filter", program.display().to_string()),
        Some(_) => Finding::less(
            "packet-filter",
            "there is nftables, which only root may use",
            "passwords keep apps from others' services all the same; as root the packet filter does too",
        ),
        None => Finding::less(
            "packet-filter",
            "there is no `nft`",
            "install nftables (Debian: `apt install nftables`), so that an app reaches only the ports that it needs",
        ),
    }
}

fn browser(machine: &Machine) -> Finding {
    let hint = "install Chromium (Debian: `apt install chromium`), or name one with ROADBED_BROWSER; pages with `render = true` need it";
    let names = machine.browser.iter().chain(&machine.browsers);
    match names.filter_map(|name| find_in_path(name, &machine.path)).next() {
        Some(program) => Finding::good("browser", program.display().to_string()),
        None => Finding::less("browser", "there is no Chromium or Chrome in PATH", hint),
    }
}

/// One that is not installed is fetched, and kept in the cache.
fn engine_of(machine: &Machine, engine: &str) -> Finding {
    let kept =
        machine.cache.as_ref().map(|cache| cache.join("engines")).and_then(|cache| host::files::list(&cache).ok());
    let is_of = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(engine));
    match (find_in_path(engine, &machine.path), kept.unwrap_or_default().iter().find(|path| is_of(path))) {
        (Some(program), _) => Finding::good("engine", format!("{engine}: {}", program.display())),
        (None, Some(kept)) => Finding::good("engine", format!("{engine}: fetched before, {}", kept.display())),
        (None, None) => Finding::less(
            "engine",
            format!("{engine} is neither in PATH nor fetched before"),
            "`roadbed up` fetches it, which takes the network once; or install it",
        ),
    }
}

/// What it prints for `--version`, first line, without its own name.
async fn version(machine: &Machine, program: &Path) -> Option<String> {
    let run = Run {
        program: program.to_owned(),
        args: vec!["--version".to_owned()],
        cwd: "/".into(),
        env: BTreeMap::from([("PATH".to_owned(), machine.path.clone())]),
        deadline: VERSION_DEADLINE,
    };
    let finished =
        process::run(&run, &mut |_: process::Stream, _: &str| {}).await.ok().filter(process::Finished::success)?;
    finished.tail.first().map(|line| line.trim().trim_start_matches('v').to_owned())
}

fn at_least(text: &str, (major, minor): (u32, u32)) -> bool {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(found), Some(then)) => (found, then) >= (major, minor),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(at_least("20.19.0", OLDEST_NODE) && at_least("22.1.0", OLDEST_NODE) && at_least("100.0", OLDEST_NODE));
        assert!(!at_least("20.9.0", OLDEST_NODE) && !at_least("9.99.0", OLDEST_NODE) && !at_least("", OLDEST_NODE));
    }

    #[tokio::test]
    async fn a_path_that_leads_nowhere_has_no_node() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { path: folder.path().display().to_string(), ..Machine::default() };
        let found = look(&machine).await;
        let verdict = |id| found.iter().find(|one| one.id == id).unwrap().verdict;
        assert_eq!(
            [verdict("node"), verdict("npm"), verdict("git")],
            [Verdict::Missing, Verdict::Missing, Verdict::Less]
        );
    }

    #[tokio::test]
    async fn an_old_node_is_told_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("node");
        host::files::write(&program, b"#!/bin/sh\necho v18.2.0\n", host::files::Access::Everyone).unwrap();
        host::files::set_executable(&program).unwrap();
        let machine = Machine { path: format!("{}:/usr/bin:/bin", folder.path().display()), ..Machine::default() };
        let found = node(&machine).await;
        assert_eq!(found.verdict, Verdict::Missing);
        assert!(found.seen.contains("18.2.0"), "{found:?}");
    }
}
