//! The words of `roadbed backup`, `drill`, `rpo` and `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Take, show and check backups
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Back up everything now
    ///
    /// MongoDB as it is at one moment, objects as they are then, Redis by its append-only log, the manifest, the state of the environment
    /// and its sealed secrets, the release that is live and those that one can go back to, into a repository in restic's format. What cannot be
    /// read whole leaves nothing, but for artifacts of releases: what is left out of these is named. It happens by itself too, as the manifest
    /// says, and when another release is live.
    #[command(after_help = "\
Examples:
  roadbed backup now
  roadbed backup now --env production --json | jq -r .snapshot.name

Exit codes:
  0  saved
  1  something could not be read or written, and nothing was saved; or the environment is down")]
    Now,
    /// Show what there is
    ///
    /// Backups of everything, up to when any second can be restored, what the last rehearsal found, and since when each copy has all of it.
    #[command(after_help = "\
Examples:
  roadbed backup list --env production
  roadbed backup list --json | jq -r '.backups[-1].name'

Exit codes:
  0  shown
  1  the environment is down, or the repository cannot be read")]
    List,
    Show(Named),
    /// Read and decrypt all of the repository, and name what is damaged
    ///
    /// Where something is, each backup is read as a restore would: those that can be, and those that are lost, are named.
    #[command(after_help = "\
Examples:
  roadbed backup verify --env production

Exit codes:
  0  it is whole
  1  something is damaged, or it cannot be read")]
    Verify,
    Hold(Named),
    Release(Named),
    /// Take away what is kept no longer, and free its space
    ///
    /// What no backup needs any more lies marked for 23 hours before it goes, so that a backup that runs is not robbed.
    #[command(after_help = "\
Examples:
  roadbed backup prune --env production

Exit codes:
  0  done
  1  another backup is being written, or the repository cannot be written, or takes nothing away")]
    Prune,
    /// Make a key that opens the repository without the environment, and show it once
    ///
    /// For a safe: it opens the copies too, a moment later. With it and the repository's folder, `restic` and `roadbed` restore everything on an empty machine.
    #[command(after_help = "\
Examples:
  roadbed backup recovery-key --env production

Exit codes:
  0  made, and on stdout
  1  the repository cannot be written")]
    RecoveryKey,
    /// Take over a repository that another root made, by a recovery key on stdin
    ///
    /// After the loss of a machine: the environment is up and empty on another one, the repository lies where the manifest says. Then
    /// `roadbed restore --in-place` brings everything back.
    #[command(after_help = "\
Examples:
  roadbed backup adopt --env production < recovery-key
  roadbed restore --env production --at 2026-11-27T02:15:00Z --in-place --yes production

Exit codes:
  0  the environment's own key opens it
  1  there is no repository, or this is none of its keys")]
    Adopt,
}

/// One backup: show what it holds, keep it for good, or let it go
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed backup show 2026-11-27T021500-123Z
  roadbed backup hold 2026-11-27T021500-123Z       no retention takes it away
  roadbed backup release 2026-11-27T021500-123Z

Exit codes:
  0  done
  1  there is no such backup, or it cannot be read")]
pub struct Named {
    /// Its name, or the beginning of its id
    #[arg(value_name = "BACKUP")]
    pub name: String,
}

/// Restore the newest backup where it harms nobody, and compare
///
/// Servers of its own, reached by nobody else, get everything back; each collection is counted and compared by digest with what the
/// backup says of itself; changes since are made again; all of it is timed, and gone in the end. The gate shows what came of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed drill --env production
  roadbed drill --json | jq '.record | {took, lost, bad}'

Exit codes:
  0  the backup can be restored, within the promised times
  1  it cannot; what differs is shown")]
pub struct Drill {}

/// Show how much would be lost now and how long everything would be away, beside what is promised
///
/// RPO: since when not all changes are saved. RTO: how long the last rehearsal took to restore everything. The manifest's
/// [environments.E.backup] promises both.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed rpo --env production
  roadbed rpo --json | jq '{unsaved, drill: .drill.took}'

Exit codes:
  0  both are as promised
  1  one is not, or nobody knows; what is broken is shown")]
pub struct Rpo {}

/// Put MongoDB's collections, Redis's keys or objects back as they were, or all of an environment on an empty machine
///
/// They are restored in a server of their own first and compared there. Without --in-place they come to lie beside the living ones,
/// with the time in their names. With it they take their place, after a backup of what is there now. Redis and objects are
/// restored as they were when the last backup before that moment was taken. Objects beside the living ones have `restored-TIME/` before
/// their keys, in the same bucket.
///
/// With --into-preview they are masked as `roadbed sample take` does it, by the rules of the environment whose documents they are, and
/// take the place of what the preview's collections have. A field without a rule stays, and so does a collection without one.
///
/// With --from an environment begins where nothing is, with its secrets, its proof, its certificates, the release that ran and all data, and is
/// brought up and looked at by the gate. The recovery key of the repository comes on stdin. Its secrets open by the operator's key of this
/// user, or by those that --identity names. Killed in between, the same command goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed restore --at 2026-11-27T02:15:00Z --collection orders
  roadbed restore --env production --at 2026-11-27T02:15:00Z --in-place --yes production
  roadbed restore --redis shop:local:cart:
  roadbed restore --bucket products/2026/
  roadbed restore --env production --at 2026-11-27T02:15:00Z --into-preview 42
  roadbed restore --env production --from /srv/copy/production --identity break-glass.txt < recovery-key
  roadbed restore --env production --from rest:https://backups.example/shop/ --access login.txt < recovery-key

Exit codes:
  0  restored; with --from: and the gate holds
  1  there is no backup of that time, it is damaged, or a service refuses; what lives is as it was. With --from: or the gate does not
     hold. With --into-preview: or there is no such preview, or nothing of it may leave
  2  the command line is wrong, or the word for --in-place is missing
  3  with --from: another command holds the root")]
pub struct Restore {
    /// A moment, to the second [default: as new as there is]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// One collection alone
    #[arg(long, value_name = "COLLECTION")]
    pub collection: Option<String>,
    /// Keys of Redis that begin so, instead of MongoDB
    #[arg(long, value_name = "PREFIX", conflicts_with = "collection")]
    pub redis: Option<String>,
    /// Objects of this bucket, instead of MongoDB; behind a slash: those whose keys begin so
    #[arg(long, value_name = "BUCKET[/PREFIX]", conflicts_with_all = ["collection", "redis"])]
    pub bucket: Option<String>,
    /// Replace what lives
    #[arg(long, requires = "yes")]
    pub in_place: bool,
    /// The name of the environment, for --in-place: so that none is meant by mistake
    #[arg(long, value_name = "ENVIRONMENT")]
    pub yes: Option<String>,
    /// Masked, into the database of this pull request's preview
    #[arg(long, value_name = "PR", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["redis", "bucket", "in_place"])]
    pub into_preview: Option<u32>,
    /// All of the environment, from this repository, where nothing is: a folder, or an address as in the manifest
    #[arg(long, value_name = "REPOSITORY", conflicts_with_all = ["collection", "redis", "bucket", "in_place", "into_preview"])]
    pub from: Option<String>,
    /// With --from: who logs in at the repository; else the variable ROADBED_BACKUP_ACCESS says so
    #[arg(long, value_name = "FILE", requires = "from")]
    pub access: Option<PathBuf>,
    /// With --from sftp://: the public key by which its host is known [default: as in the manifest]
    #[arg(long, value_name = "KEY", requires = "from")]
    pub host_key: Option<String>,
    /// With --from s3: the region that is signed [default: as in the manifest]
    #[arg(long, value_name = "REGION", requires = "from")]
    pub region: Option<String>,
    /// With --from: a private key that opens the secrets; twice for two of the break-glass keys
    #[arg(long, value_name = "FILE", requires = "from")]
    pub identity: Vec<PathBuf>,
    /// With --from: a rehearsal on this machine, with free ports in place of the manifest's
    #[arg(long, requires = "from")]
    pub free_ports: bool,
    /// With --from: do not run the gate
    #[arg(long, requires = "from")]
    pub no_gate: bool,
}
