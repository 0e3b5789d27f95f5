//! The command line of `roadbed secrets`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Keep the values that people set
#[derive(Debug, Subcommand)]
pub enum Secrets {
    Set(SetSecret),
    Get(GetSecret),
    Rotate(RotateSecrets),
    Scan(ScanSecrets),
    /// Show which variables have a value; never the value
    #[command(after_help = "\
Examples:
  roadbed secrets list
  roadbed secrets list --json | jq '.[] | select(.required and .version == null)'

Exit codes:
  0  shown
  2  the manifest is wrong")]
    List,
    Versions(Versions),
    Rm(RemoveSecret),
    Import(Import),
    Export(Export),
    /// Say who may open the store
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Recipients(Recipients),
    Rekey(Rekey),
    Audit(Audit),
}

/// By which key, and why.
#[derive(Debug, Args)]
pub struct With {
    /// A private key that may open the store beside this user's own: an age identity or an unlocked ssh-ed25519 key; twice for
    /// two of the break-glass keys
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// Why: noted in the audit log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// Replace values by new ones, without a request lost
///
/// The new value is made and let in beside the old one, then handed to the instances one by one, and the old one is retired when
/// nobody holds it and its overlap has passed. Control does it: Ctrl-C leaves it going on, and the same command follows it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets rotate JWT_SIGNING_KEY MONGODB_URL
  roadbed secrets rotate --due --dry-run      what is older than the manifest lets it be
  roadbed secrets rotate --due                as a nightly job
  roadbed secrets rotate services/authority   another certificate authority for the data services

Exit codes:
  0  in use, or nothing was due
  1  an instance does not take the new value, or a value before still holds
  2  the command line is wrong")]
pub struct RotateSecrets {
    /// The variables; `services/authority` is the certificate authority of the data services
    #[arg(value_name = "VARIABLE", required_unless_present = "due")]
    pub names: Vec<String>,
    /// Whatever is overdue
    #[arg(long, conflicts_with = "names")]
    pub due: bool,
    /// Say what would be rotated
    #[arg(long)]
    pub dry_run: bool,
}

/// Search for secrets where they must not be: files, all of git's history, logs, archives, images
///
/// First the values of this environment's store, in every form in which they are written; then whatever looks like a credential
/// of some 140 kinds. Without a flag or a path: the files that could be committed, and every commit of every branch, tag, note,
/// stash and log of git. No value is shown: findings have a masked line and a keyed hash, by which leaks-allow.toml can accept
/// one for a time. Git itself is not needed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets scan                          files and history
  roadbed secrets scan --staged                 what the next commit would add; for a pre-commit hook
  roadbed secrets scan build.log dist image.tar files, folders, archives, saved images; ignored ones too
  kubectl logs shop | roadbed secrets scan --stdin
  roadbed secrets scan --sarif > leaks.sarif    for a code host or an editor
  roadbed secrets scan --accept \"test vector of RFC 8725\" --until 2027-06-30
                                                accepts everything found now
  roadbed secrets scan --install-hooks          writes the pre-commit hook, prints one for a server

Exit codes:
  0  nothing found that is not accepted
  1  something found, or something could not be searched
  2  the command line or the allow-list is wrong")]
#[command(group = clap::ArgGroup::new("what").multiple(false))]
pub struct ScanSecrets {
    /// Files and folders, all that is in them
    #[arg(value_name = "PATH", group = "what")]
    pub paths: Vec<PathBuf>,
    /// Only the history
    #[arg(long, group = "what")]
    pub history: bool,
    /// Only what is staged
    #[arg(long, group = "what")]
    pub staged: bool,
    /// Only what comes on stdin
    #[arg(long, group = "what")]
    pub stdin: bool,
    /// What a push brings: lines of a pre-receive hook on stdin
    #[arg(long, group = "what")]
    pub received: bool,
    /// Write the pre-commit hook of this repository, and print a pre-receive hook for a server's
    #[arg(long, group = "what")]
    pub install_hooks: bool,
    /// Of the history also what no branch, tag or log leads to any more
    #[arg(long, conflicts_with_all = ["paths", "staged", "stdin", "received", "install_hooks"])]
    pub unreachable: bool,
    /// Leave the values of the store out: patterns only
    #[arg(long)]
    pub no_store: bool,
    /// The list of accepted findings [default: leaks-allow.toml beside the manifest]
    #[arg(long, value_name = "FILE")]
    pub allow: Option<PathBuf>,
    /// Add everything found to that list, for this reason
    #[arg(long, value_name = "REASON", requires = "until")]
    pub accept: Option<String>,
    /// Last day on which --accept holds
    #[arg(long, value_name = "DATE", requires = "accept")]
    pub until: Option<String>,
    /// Print SARIF 2.1.0 on stdout
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
}

/// Set the value of a variable with source "store", read from stdin or asked for
///
/// The value is never an argument: those are seen by every user of the machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets set PAYMENT_SECRET_KEY < key.txt
  roadbed secrets set PAYMENT_SECRET_KEY          asks, without showing what is typed

Exit codes:
  0  kept
  2  no such variable, no value, or one that may not be kept here
  3  another command holds the root")]
pub struct SetSecret {
    /// The variable
    #[arg(value_name = "VARIABLE")]
    pub name: String,
    /// Refused, with the way that is right.
    #[arg(hide = true, allow_hyphen_values = true)]
    pub value: Vec<OsString>,
    #[command(flatten)]
    pub with: With,
}

/// Print a value: into a pipe or a file, or with --show to the terminal
///
/// That it is read is noted in the audit log first, with the reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets get SESSION_SECRET --reason 'ticket 123' | wc -c
  roadbed secrets get mongodb/app-api --show --reason 'broken login'

Exit codes:
  0  printed
  1  there is no value, or no key here opens the store
  2  no reason, or a terminal without --show")]
pub struct GetSecret {
    /// A variable, or the full name of a secret, such as mongodb/app-api
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Print it even to a terminal
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    pub with: With,
}

/// Show the versions of values and their states; never a value
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets versions
  roadbed secrets versions SESSION_SECRET --json")]
pub struct Versions {
    /// Only of this variable or secret
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Destroy a value: its key is dropped, and nothing opens it any more
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets rm PAYMENT_SECRET_KEY --reason 'provider left'
  roadbed secrets rm SESSION_SECRET --version 3    one version that is no longer in use

Exit codes:
  0  destroyed
  1  there is no such value, or the version is in use
  3  another command holds the root")]
pub struct RemoveSecret {
    /// A variable, or the full name of a secret
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only this version
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    #[command(flatten)]
    pub with: With,
}

/// Set the values of a dotenv or JSON file, all or none
///
/// Every line that cannot be kept is told with its place before anything is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets import --env staging .env.staging
  roadbed secrets export --plain --reason move | roadbed secrets import --env staging -

Exit codes:
  0  all are kept
  2  a line is wrong; nothing was kept
  3  another command holds the root")]
pub struct Import {
    /// The file; - is stdin. One that begins with { is JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub with: With,
}

/// Print the values that people set as JSON: sealed for --to, or in clear with --plain
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets export --to age1... --reason backup > secrets.age
  roadbed secrets export --to \"$(cat ~/.ssh/id_ed25519.pub)\" --reason backup > secrets.age
  age -d -i ~/.ssh/id_ed25519 secrets.age

Exit codes:
  0  printed
  2  no reason, no recipient, or values in clear to a terminal")]
pub struct Export {
    /// Seal to this age recipient or ssh-ed25519 public key; may be given more than once
    #[arg(long, value_name = "KEY", required_unless_present = "plain")]
    pub to: Vec<String>,
    /// In clear, into a pipe or a file
    #[arg(long, conflicts_with = "to")]
    pub plain: bool,
    #[command(flatten)]
    pub with: With,
}

/// Say who may open the store
#[derive(Debug, Subcommand)]
pub enum Recipients {
    /// Show who may open the store, and who was seen to
    #[command(after_help = "\
Examples:
  roadbed secrets recipients list --env production")]
    List(With),
    Add(AddRecipient),
    Prove(ProveRecipient),
    Remove(RemoveRecipient),
    /// Put this user's identity in the place of the operator's, after that was lost; the store gets another key
    #[command(after_help = "\
Examples:
  roadbed secrets recipients renew --reason 'new laptop'")]
    Renew(With),
    BreakGlass(BreakGlass),
}

/// Let a person open the store, by age recipient or ssh-ed25519 public key
///
/// Prints a challenge that only the owner of the key can open; the answer is given to `recipients prove`. Until then the person is
/// shown as unproved and counts for nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets recipients add bea 'ssh-ed25519 AAAA... bea@laptop' > challenge.age
  age -d -i ~/.ssh/id_ed25519 challenge.age | roadbed secrets recipients prove bea

Exit codes:
  0  added
  1  fewer than two recipients are proved, or the name is taken
  2  no key that can be used")]
pub struct AddRecipient {
    /// What to call them
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Their public key: age1... or ssh-ed25519 AAAA...
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub with: With,
}

/// Take the answer to a challenge, from stdin
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  age -d -i key.txt challenge.age | roadbed secrets recipients prove bea")]
pub struct ProveRecipient {
    /// Who answers
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub with: With,
}

/// Let somebody open the store no more: it gets another key, and what they have read is listed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets recipients remove bea --reason 'left the team'")]
pub struct RemoveRecipient {
    /// Who
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub with: With,
}

/// Name three keys of which any two together open the store, and none alone
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets recipients break-glass age1... age1... age1...
  roadbed secrets get SESSION_SECRET --identity one.txt --identity two.txt --reason 'both laptops lost'")]
pub struct BreakGlass {
    /// The public keys
    #[arg(value_name = "KEY", num_args = 3, required = true)]
    pub keys: Vec<String>,
    #[command(flatten)]
    pub with: With,
}

/// Give the store another key, sealed to the same recipients; no value is touched
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed secrets rekey --env production --reason 'yearly'")]
pub struct Rekey {
    #[command(flatten)]
    pub with: With,
}

/// Show who did what with which secret, or see whether that log is whole
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  roadbed secrets audit
  roadbed secrets audit --name PAYMENT_SECRET_KEY --json
  roadbed secrets audit verify"
)]
pub struct Audit {
    #[command(subcommand)]
    pub verb: Option<AuditVerb>,
    /// Only about this variable or secret
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// See whether anything was cut, changed, reordered or put back
    #[command(after_help = "\
Examples:
  roadbed secrets audit verify

Exit codes:
  0  the log is whole
  1  it is not; each finding is told")]
    Verify(With),
}
