//! `roadbed secrets scan`: secrets where they must not be.

mod hooks;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use indicatif::{ProgressBar, ProgressStyle};
use leaks::{AllowList, Extent, Finding, Ignored, Objectives, Report, Rules, Scanner, Search};
use leaks::{SearchFault, Stale, Step, Values, Why};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Voice;
use crate::cli::secrets;
use crate::cli::secrets_args::{ScanSecrets, With};
use crate::cli::session::Session;
use crate::control::identity;
use crate::leak_search;
use crate::render::span::{bytes, count};
use crate::render::{leak, sarif};

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document<'a> {
    findings: &'a [Finding],
    /// Entries of the list of accepted findings that have expired, or that accept nothing.
    stale: &'a [Stale],
    /// What could be searched in part or not at all.
    unread: &'a [String],
    searched: Extent,
}

pub fn run(session: &Session, args: &ScanSecrets) -> Result<Exit, Failure> {
    let here = &session.surroundings.folder;
    if args.install_hooks {
        return hooks::install(session, here);
    }
    let today = leak_search::day(session.clock.now());
    let list = list(session, args);
    let (mut allow, is_new) = allow(session, args, &list)?;
    let scanner = Scanner::new(Rules::ours(), values(session, args)?);
    for label in scanner.values().into_iter().flat_map(Values::too_short) {
        session.output.note(format!("{label} is too short to be searched for"));
    }
    let report = searched(session, args, &scanner, &allow)?;
    let Report { findings, mut unread, extent } = report;
    let findings = allow.judge(findings, &today);
    // What was not searched is not unused.
    let whole = args.paths.is_empty() && !args.staged && !args.stdin && !args.received && !args.history;
    let stale: Vec<Stale> =
        allow.stale(&today).into_iter().filter(|stale| whole || stale.why == Why::Expired).collect();
    unread.sort();
    unread.dedup();
    if let (Some(reason), Some(until)) = (&args.accept, &args.until) {
        return accept(session, &list, is_new, &findings, (reason, until));
    }
    show(session, args, &Document { findings: &findings, stale: &stale, unread: &unread, searched: extent })?;
    Ok(if findings.is_empty() && unread.is_empty() { Exit::Done } else { Exit::Failed })
}

fn searched(session: &Session, args: &ScanSecrets, scanner: &Scanner, allow: &AllowList) -> Result<Report, Failure> {
    let here = &session.surroundings.folder;
    let bar = bar(session);
    let progress = |step: Step| tell(&bar, step);
    let search = Search { scanner, allow, progress: &progress, threads: leak_search::threads() };
    let report = if args.stdin {
        search.stream("(stdin)", std::io::stdin().lock())
    } else if args.received {
        let quarantine = session.surroundings.variable("GIT_QUARANTINE_PATH").map(PathBuf::from);
        search.pushed(here, &tips()?, quarantine.as_deref())
    } else if args.staged {
        search.staged(here)
    } else if args.paths.is_empty() {
        project(session, args, &search)
    } else {
        let paths: Vec<PathBuf> = args.paths.iter().map(|path| here.join(path)).collect();
        if let Some(missing) = paths.iter().find(|path| !files::exists(path)) {
            let shown = session.surroundings.shown(missing);
            return Err(Failure::Usage(Fault::new(format!("there is no file or folder {shown}"))));
        }
        search.files(here, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), Ignored::Searched)
    };
    bar.finish_and_clear();
    report.map_err(|fault| cannot(&fault))
}

/// The files that could be committed, and the history.
fn project(session: &Session, args: &ScanSecrets, search: &Search<'_>) -> Result<Report, SearchFault> {
    let here = &session.surroundings.folder;
    let top = leaks::work_tree(here);
    let mut report = Report::default();
    if !args.history && !args.unreachable {
        let top = top.as_deref().unwrap_or(here);
        report = search.files(top, &[top], Ignored::LeftOut)?;
        if leaks::work_tree(here).is_none() {
            session.output.note("this folder is in no git repository: only its files are searched");
            return Ok(report);
        }
    }
    let which = if args.unreachable { Objectives::All } else { Objectives::Reachable };
    let mut clean = match session.surroundings.cache() {
        Some(cache) => Some(leak_search::clean(&cache, search.scanner)?),
        None => None,
    };
    Ok(report.join(search.history(here, which, clean.as_mut())?))
}

/// Where the list of accepted findings is: as asked, or beside the manifest, or at the top of the repository.
fn list(session: &Session, args: &ScanSecrets) -> PathBuf {
    let here = &session.surroundings.folder;
    match &args.allow {
        Some(asked) => here.join(asked),
        None => {
            let project = session.manifest().ok().and_then(Path::parent).map(Path::to_owned);
            leak_search::list_in(&project.or_else(|| leaks::work_tree(here)).unwrap_or_else(|| here.clone()))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListFile {
    IsThere,
    IsNew([u8; 32]),
}

fn allow(session: &Session, args: &ScanSecrets, list: &Path) -> Result<(AllowList, ListFile), Failure> {
    if let Some(read) = leak_search::accepted(list, &session.surroundings.shown(list)).map_err(Failure::Usage)? {
        return Ok((read, ListFile::IsThere));
    }
    // Without a list the names of values only have to be the same in each run, for who compares two.
    let mut key = [0; 32];
    if args.accept.is_some() {
        getrandom::fill(&mut key).map_err(|error| {
            Fault::new("cannot make a key for the list of accepted findings").cause(error.to_string())
        })?;
    }
    Ok((AllowList::empty(key), ListFile::IsNew(key)))
}

fn accept(
    session: &Session,
    list: &Path,
    file: ListFile,
    findings: &[Finding],
    (reason, until): (&str, &str),
) -> Result<Exit, Failure> {
    let mut text = match file {
        ListFile::IsThere => files::read_string(list)?,
        ListFile::IsNew(key) => leaks::allow::new_file(key),
    };
    // One entry for all places of a value in a file.
    let entries: BTreeSet<String> =
        findings.iter().map(|finding| leaks::allow::entry_for(finding, reason, until)).collect();
    entries.iter().for_each(|entry| text.push_str(entry));
    // What cannot be read back is not written.
    AllowList::parse(&text).map_err(|fault| {
        Failure::Usage(
            Fault::because("cannot accept the findings", &fault).hint("give --until a date such as 2027-06-30"),
        )
    })?;
    files::write_durable(list, text.as_bytes(), Access::Everyone)?;
    let shown = session.surroundings.shown(list);
    session.output.note(format!("{} accepted until {until} in {shown}", count(findings.len(), "finding")));
    Ok(Exit::Done)
}

/// The values of this environment's store, if it has one. Nothing is made for the asking.
fn values(session: &Session, args: &ScanSecrets) -> Result<Option<Values>, Failure> {
    if args.no_store || identity::read(&session.root)?.is_none() || !files::exists(&session.root.secret_store()) {
        return Ok(None);
    }
    let with = With { identity: Vec::new(), reason: "searched for by `secrets scan`".to_owned() };
    let (_, store) = secrets::open(session, Some(&with))?;
    let unread = |fault: Fault| Failure::Work(fault.hint("`--no-store` searches without its values"));
    leak_search::values(&store).map(Some).map_err(unread)
}

/// The new ids of a pre-receive hook's lines: `OLD NEW REF`.
fn tips() -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Fault::because("cannot read stdin", &error))?;
    let tip = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    text.lines()
        .map(|line| {
            tip(line).ok_or_else(|| {
                Failure::Usage(
                    Fault::new(format!("\"{line}\" is no line of a pre-receive hook"))
                        .hint("git gives such a hook lines of OLD NEW REF on stdin"),
                )
            })
        })
        .collect()
}

fn show(session: &Session, args: &ScanSecrets, document: &Document<'_>) -> Result<(), Failure> {
    let output = &session.output;
    if args.sarif {
        output.json(&sarif::leaks(document.findings, &Rules::ours()))?;
    } else if output.is_json() {
        output.json(document)?;
    } else {
        for finding in document.findings {
            for line in leak::lines(finding, output.data) {
                output.line(line)?;
            }
            output.line("")?;
        }
    }
    for unread in document.unread {
        output.complain(format!("{} not searched: {unread}", output.notes.caution("warning:")));
    }
    for stale in document.stale {
        let why = match stale.why {
            Why::Expired => "has expired",
            Why::Unused => "accepts nothing that is there",
        };
        let entry = format!("entry {} of the list of accepted findings {why}", stale.entry);
        output.note(format!("{} {entry}: {} ({})", output.notes.caution("warning:"), stale.rule, stale.reason));
    }
    if document.searched.missing > 0 {
        let objects = count(document.searched.missing, "object");
        output.note(format!("{objects} of the history not in this clone, or damaged: not searched"));
    }
    output.note(summary(document.findings, &document.searched));
    Ok(())
}

fn summary(findings: &[Finding], extent: &Extent) -> String {
    let mut parts = Vec::new();
    if extent.files > 0 {
        parts.push(count(extent.files, "file"));
    }
    if extent.commits > 0 {
        parts.push(format!("{} with {}", count(extent.commits, "commit"), count(extent.blobs, "file version")));
    }
    if extent.known_clean > 0 {
        parts.push(format!("{} of them known from before", extent.known_clean));
    }
    parts.push(bytes(extent.bytes));
    let searched = parts.join(", ");
    match findings.len() {
        0 => format!("no secret found: {searched}"),
        many => format!("{} in {searched}. Make each worthless first, then take it away", count(many, "finding")),
    }
}

fn bar(session: &Session) -> ProgressBar {
    if !session.output.moving || session.output.voice == Voice::Quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is sound");
    let bar = ProgressBar::new_spinner().with_style(style);
    // Ten times a second is smooth to the eye.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn tell(bar: &ProgressBar, step: Step) {
    match step {
        Step::Commits(commits) => bar.set_message(format!("{commits} commits read")),
        Step::Blobs(done, all) => bar.set_message(format!("{done} of {all} file versions searched")),
        Step::Files(files) => bar.set_message(format!("{files} files searched")),
    }
}

fn cannot(fault: &SearchFault) -> Failure {
    Failure::Work(Fault::because("cannot search for secrets", fault))
}
