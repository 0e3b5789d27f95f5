//! T7: no secret's value is in a log, a state file or the process list.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::files::{self, FileFault};
use host::process::table::command_lines;
use reconcile::{Fault, Root};
use secrets::Store;
use secrets::redact::Needles;

use crate::control::redacting;

pub(crate) const CLAIM: Claim = Claim {
    task: "T7",
    id: "secrets-stay-secret",
    claim: "No secret's value is in a log, a state file or the process list",
    hint: "rotate the secret that is named, then remove what holds it",
    impact: Impact::Observes,
};

/// Searches for every value that the environment's secret store holds, in every notation that the redactor knows.
#[derive(Debug)]
pub struct SecretsStaySecret {
    pub root: Root,
    pub secrets: Arc<Store>,
}

impl Check for SecretsStaySecret {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        let (root, secrets) = (self.root.clone(), self.secrets.clone());
        Box::pin(async move {
            let searched = tokio::task::spawn_blocking(move || search(&root, &secrets)).await;
            match searched {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(fault)) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
                Err(panic) => Outcome::inconclusive(format!("the search broke off: {panic}")),
            }
        })
    }
}

fn search(root: &Root, store: &Store) -> Result<Outcome, Fault> {
    let cannot = |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot search for secrets", fault);
    // Also what was let in before: it may still open something elsewhere.
    let values = redacting::sensitive(store)?;
    let needles =
        Needles::new(values.iter().map(|(name, value)| (name.clone(), value))).map_err(|error| cannot(&error))?;
    let mut findings = Findings::default();
    let mut look = |place: &str, bytes: &[u8]| {
        if let Some(found) = needles.find(bytes).first() {
            findings.bad(format!("{place} holds the value of {}", found.name));
        }
    };

    // Not the store itself, the keys of TLS and the data of the engines: there the values are meant to be.
    let mut searched = (0_usize, 0_u64);
    // `conf` is left out too: a server's own key file lies there because the server reads it there.
    for folder in [root.logs(), root.state(), root.run(), root.routes()] {
        for path in files_below(&folder).map_err(|fault| cannot(&fault))? {
            // A temporary file that was renamed meanwhile is found under its new name, or was.
            let Some(bytes) = files::read_if_exists(&path).map_err(|fault| cannot(&fault))? else { continue };
            searched = (searched.0 + 1, searched.1 + bytes.len() as u64);
            look(&path.display().to_string(), &bytes);
        }
    }
    let processes = command_lines().map_err(|fault| cannot(&fault))?;
    for (pid, line) in &processes {
        look(&format!("the command line of process {pid}"), line);
    }
    findings.good(format!(
        "searched {} files ({} KiB) and {} command lines for {} values",
        searched.0,
        searched.1 / 1024,
        processes.len(),
        values.len()
    ));
    Ok(if values.is_empty() {
        Outcome::inconclusive("the environment has no secrets to look for")
    } else {
        findings.outcome()
    })
}

/// Regular files only: sockets and pipes hold nothing.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let mut found = Vec::new();
    for path in files::list(folder)? {
        match files::metadata(&path) {
            Ok(meta) if meta.is_dir() => found.extend(files_below(&path)?),
            Ok(meta) if meta.is_file() => found.push(path),
            Ok(_) => {}
            // Rotated or replaced meanwhile.
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}
