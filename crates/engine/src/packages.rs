//! The packages of all apps, installed exactly as the lock file says.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use host::files::{self, Access};
use host::process::{self, Run};
use reconcile::{Begun, Event, Fault, Progress, Resource, ResourceId};
use sha2::{Digest, Sha256};

use crate::{ToolEnv, Turn};

/// A cold install of the three apps took 20 s on two cores; a slow network may need a lot longer.
const INSTALL_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// `node_modules` beside the manifest.
#[derive(Debug)]
pub struct Packages {
    id: ResourceId,
    project: PathBuf,
    tools: ToolEnv,
    turn: Turn,
}

/// What there is to do.
#[derive(Debug)]
pub struct Install;

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("install packages as package-lock.json says")
    }
}

/// What is installed.
#[derive(Debug)]
pub struct Seen {
    wanted: String,
    installed: Option<String>,
}

impl Packages {
    pub fn new(project: PathBuf, tools: ToolEnv, turn: Turn) -> Self {
        Self { id: Self::resource_id(), project, tools, turn }
    }

    pub fn resource_id() -> ResourceId {
        ResourceId::new("packages")
    }

    /// Inside `node_modules`, so that who removes the folder removes the claim that it is complete.
    fn stamp(&self) -> PathBuf {
        self.project.join("node_modules/.roadbed-lock-digest")
    }

    fn look(&self) -> Result<Seen, Fault> {
        let lock = self.project.join("package-lock.json");
        let bytes = files::read(&lock).map_err(|fault| {
            Fault::because("cannot tell which packages to install", &fault)
                .hint("run `npm install` once and commit package-lock.json")
        })?;
        let wanted = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let installed = files::read_if_exists(&self.stamp())
            .map_err(|fault| Fault::because("cannot see which packages are installed", &fault))?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Seen { wanted, installed })
    }

    /// Installs what is not installed as the lock file says, without the rest of an environment.
    pub async fn ensure(&self, progress: &dyn Progress) -> Result<(), Fault> {
        let seen = self.look()?;
        if seen.installed.as_ref() == Some(&seen.wanted) { Ok(()) } else { self.install(progress).await }
    }

    async fn install(&self, progress: &dyn Progress) -> Result<(), Fault> {
        let npm = find(&self.tools, "npm")?;
        let _turn = self.turn.take("cannot install the packages", INSTALL_DEADLINE).await?;
        let seen = self.look()?;
        if seen.installed.as_deref() == Some(&seen.wanted) {
            return Ok(());
        }
        let run = Run {
            program: npm,
            args: ["ci", "--no-audit", "--no-fund"].map(str::to_owned).to_vec(),
            cwd: self.project.clone(),
            env: self.tools.clone(),
            deadline: INSTALL_DEADLINE,
        };
        run_to_end(&self.id, "cannot install the packages", &run, progress).await?;
        // npm makes no folder where there is nothing to install.
        let modules = self.project.join("node_modules");
        // A stamp that outlives a power cut speaks of packages that did.
        files::create_dir(&modules, Access::Everyone)
            .and_then(|()| files::sync_tree(&modules))
            .and_then(|()| files::write_durable(&self.stamp(), seen.wanted.as_bytes(), Access::Everyone))
            .map_err(|fault| {
                Fault::because("cannot note that the packages are installed", &fault)
                    .hint("see whether the disk is full and the folder is yours")
            })
    }
}

impl Resource for Packages {
    type Observed = Seen;
    type Step = Install;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        self.look()
    }

    fn plan(&self, seen: &Seen) -> Vec<Install> {
        if seen.installed.as_ref() == Some(&seen.wanted) { Vec::new() } else { vec![Install] }
    }

    async fn apply(&self, _: &Install, _: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        self.install(progress).await
    }
}

/// Finds a program that the manifest or a build names.
pub(crate) fn find(tools: &ToolEnv, program: &str) -> Result<PathBuf, Fault> {
    let path = tools.get("PATH").map_or("", String::as_str);
    process::find_in_path(program, path).ok_or_else(|| {
        Fault::new(format!("cannot find the program `{program}`"))
            .cause(format!("it is in none of the folders of PATH: {path}"))
            .hint(match program {
                "node" | "npm" | "npx" => "install Node.js 20.19 or later",
                _ => "install it, or correct the command in roadbed.toml",
            })
    })
}

/// How much of what a failed command wrote is worth showing. The first complaint is often the cause of all others, and the
/// last lines are often advice.
const FIRST_LINES: usize = 10;
const LAST_LINES: usize = 15;

/// Runs a command to its end, shows its output as it comes, and makes a fault of a failure.
pub(crate) async fn run_to_end(
    id: &ResourceId,
    headline: &str,
    run: &Run,
    progress: &dyn Progress,
) -> Result<(), Fault> {
    let mut on_line = |_: process::Stream, line: &str| {
        progress.emit(Event::Output { resource: id.to_string(), line: line.to_owned() });
    };
    let finished = process::run(run, &mut on_line).await.map_err(|fault| Fault::because(headline, &fault))?;
    if finished.success() {
        return Ok(());
    }
    let command = format!("{} {}", run.program.display(), run.args.join(" "));
    Err(Fault::new(headline)
        .cause(format!("`{command}` in {} ended with {}", run.cwd.display(), finished.describe()))
        .hint("correct what the lines above say, then run the same command again")
        .output(shortened(&finished.tail)))
}

fn shortened(lines: &[String]) -> Vec<String> {
    let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
    if left_out < 2 {
        return lines.to_vec();
    }
    let mark = format!("… {left_out} lines …");
    let last = lines[lines.len() - LAST_LINES..].iter().cloned();
    lines[..FIRST_LINES].iter().cloned().chain([mark]).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_output_the_beginning_and_the_end_are_shown() {
        let lines: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
        let shown = shortened(&lines);
        assert_eq!(shown.len(), FIRST_LINES + 1 + LAST_LINES);
        assert_eq!((shown[0].as_str(), shown[10].as_str(), shown[25].as_str()), ("1", "… 75 lines …", "100"));
        assert_eq!(shortened(&lines[..26]), lines[..26], "a mark would not save a line");
    }
}
