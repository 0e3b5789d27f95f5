//! `roadbed init`: a first manifest for a product that has none.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use host::files::{self, Access};
use reconcile::Fault;
use scaffold::{Answers, Draft, DraftFault, Survey, SurveyFault};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::{MANIFEST, Session};

/// Write a first manifest for a product that has none
///
/// Looks for apps by their files (Next.js, sites that are built, Node servers), for the data services whose clients they depend on, and
/// for the variables that their code reads, and writes roadbed.toml with comments. Asks for what files do not say at a terminal, and takes
/// the defaults elsewhere or with --yes. What is in the way of the first `roadbed up` is said at the end. Lines that .gitignore lacks are
/// added; no other file is touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed init                                     in the product's folder
  roadbed init --yes && roadbed up
  roadbed init ../shop --product corner --domain corner.example
  roadbed init --dry-run                           only show the manifest

Exit codes:
  0  written, or shown
  1  a file could not be read or written
  2  there is nothing to run here, there is a manifest already, or an answer is refused")]
pub struct Init {
    /// The product's folder [default: this one]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// What the product is called [default: its package, else its folder]
    #[arg(long, value_name = "NAME")]
    pub product: Option<String>,
    /// Where customers are going to find it [default: PRODUCT.example]
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// How whoever answers for it is reached [default: team@DOMAIN]
    #[arg(long, value_name = "CONTACT")]
    pub contact: Option<String>,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// Replace a manifest that is there
    #[arg(long)]
    pub force: bool,
    /// Write nothing; print the manifest
    #[arg(long)]
    pub dry_run: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    manifest: &'a Path,
    written: bool,
    apps: Vec<App<'a>>,
    services: &'a [&'static str],
    variables: &'a [String],
    notes: &'a [String],
    /// Lines that `.gitignore` lacked.
    ignored: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct App<'a> {
    name: &'a str,
    path: &'a str,
    kind: &'a str,
    because: &'a str,
}

pub fn run(session: &Session, args: &Init) -> Result<Exit, Failure> {
    let here = &session.surroundings.folder;
    let folder = args.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    let folder = files::canonical(&folder)?;
    let manifest = folder.join(MANIFEST);
    if !args.dry_run && !args.force && files::exists(&manifest) {
        return Err(Failure::Usage(
            Fault::new(format!("{} is there already", session.surroundings.shown(&manifest))).hint(
                "`roadbed manifest check` looks at it; --force replaces it, --dry-run shows what would be written",
            ),
        ));
    }
    let found = scaffold::survey(&folder).map_err(nothing_there)?;
    let answers = answers(session, args, &folder, &found)?;
    let draft = scaffold::draft(&folder, &found, &answers).map_err(refused)?;
    let before = files::read_if_exists(&folder.join(".gitignore"))?.unwrap_or_default();
    let ignored = scaffold::missing_lines(&String::from_utf8_lossy(&before), &draft.outputs);
    if !args.dry_run {
        ignore(&folder, before, &ignored)?;
        files::write_durable(&manifest, draft.text.as_bytes(), Access::Everyone)?;
    }
    show(session, args, &manifest, &found, &draft, &ignored)?;
    Ok(Exit::Done)
}

fn ignore(folder: &Path, mut text: Vec<u8>, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(b"# What Roadbed keeps here, and what builds make.\n");
    lines.iter().for_each(|line| text.extend(format!("{line}\n").bytes()));
    Ok(files::write_durable(&folder.join(".gitignore"), &text, Access::Everyone)?)
}

/// Flags first, then answers at a terminal, then what is usual.
fn answers(session: &Session, args: &Init, folder: &Path, found: &Survey) -> Result<Answers, Failure> {
    let asks = !args.yes && !session.output.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal();
    let answer = |given: &Option<String>, question: &str, usual: String| match given {
        Some(given) => Ok(given.clone()),
        None if asks => ask(question, &usual).map(|answer| if answer.is_empty() { usual } else { answer }),
        None => Ok(usual),
    };
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let product =
        answer(&args.product, "What is the product called?", scaffold::product_name(found.package.as_deref(), &name))?;
    let domain = answer(&args.domain, "Where will customers find it?", format!("{product}.example"))?;
    let contact = answer(&args.contact, "How is whoever answers for it reached?", format!("team@{domain}"))?;
    Ok(Answers { product, domain, contact })
}

fn ask(question: &str, usual: &str) -> Result<String, Failure> {
    let cannot = |error: &io::Error| Failure::Usage(Fault::because("cannot ask", error).hint("give --yes, or flags"));
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [{usual}] ").and_then(|()| stderr.flush()).map_err(|error| cannot(&error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| cannot(&error))?;
    Ok(answer.trim().to_owned())
}

fn nothing_there(fault: SurveyFault) -> Failure {
    match fault {
        SurveyFault::Nothing { ref notes, .. } => {
            let told = Fault::new(fault.to_string());
            let told = notes.iter().fold(told, |told, note| told.cause(note.clone()));
            Failure::Usage(told.hint("go to the product's folder, or describe its apps by hand: docs/first-hour.md has a manifest to begin with"))
        }
        SurveyFault::File(fault) => fault.into(),
        fault @ SurveyFault::Package { .. } => {
            Failure::Usage(Fault::because("cannot see what is here", &fault).hint("correct it, or remove it"))
        }
    }
}

fn refused(fault: DraftFault) -> Failure {
    match fault {
        DraftFault::Refused(_) => {
            Failure::Usage(Fault::new(fault.to_string()).hint("give another with --product, --domain or --contact"))
        }
        DraftFault::Code(fault) => Fault::because("cannot read which variables the code uses", &fault).into(),
    }
}

fn show(
    session: &Session,
    args: &Init,
    manifest: &Path,
    found: &Survey,
    draft: &Draft,
    ignored: &[String],
) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        let apps = found.apps.iter();
        let apps =
            apps.map(|app| App { name: &app.name, path: &app.path, kind: app.kind.as_str(), because: &app.because });
        return output.json(&Document {
            manifest,
            written: !args.dry_run,
            apps: apps.collect(),
            services: &draft.services,
            variables: &draft.variables,
            notes: &draft.notes,
            ignored,
            text: args.dry_run.then_some(draft.text.as_str()),
        });
    }
    if args.dry_run {
        output.text(&draft.text)?;
    }
    let paint = output.notes;
    for app in &found.apps {
        output.note(format!("{} {} ({}, {}): {}", paint.good("✓"), app.name, app.kind.as_str(), app.path, app.because));
    }
    for service in &draft.services {
        output.note(format!("{} {service}", paint.good("✓")));
    }
    for note in &draft.notes {
        output.complain(format!("{} {note}", paint.caution("!")));
    }
    if !args.dry_run {
        output.note(format!("wrote {}", session.surroundings.shown(manifest)));
        output.note(paint.hint("read it, then `roadbed up`; `roadbed doctor` says what this machine lacks"));
    }
    Ok(())
}
