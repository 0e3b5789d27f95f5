//! `roadbed incident`: what people do and see while something is wrong, and the draft of what is written afterwards.

use host::clock::Timestamp;
use host::files::{self, Access};
use incidents::book::NoId;
use incidents::{Book, BookFault, Entry, IncidentId, What, messages, postmortem, timeline};
use manifest::Incidents;
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::incident_args::{Incident, Update, Which, Who};
use crate::cli::incident_events;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::control::identity;
use crate::render::paint::printable;
use crate::render::table::Table;

/// What `incident list --json` prints.
#[derive(Serialize)]
struct All {
    incidents: Vec<incidents::Incident>,
}

/// What `incident show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    incident: incidents::Incident,
    timeline: Vec<incidents::Event>,
}

pub(super) async fn run(session: &Session, verb: &Incident) -> Result<Exit, Failure> {
    let mut book = open(session)?;
    match verb {
        Incident::Open(args) => {
            let what = What::Opened { severity: args.severity.into(), summary: args.summary.clone() };
            let environment = session.environment()?;
            let entry = entry(session, &args.who, what);
            let id = book.begin(&environment, &entry).map_err(|fault| told(session, &fault))?;
            let incident = book.incident(id).map_err(|fault| told(session, &fault))?;
            if session.output.is_json() {
                session.output.json(&incident)?;
                return Ok(Exit::Done);
            }
            session.output.line(format!("{id} is open: {}", incident.summary))?;
            call(session, &Project::load(session)?.manifest.incidents());
        }
        Incident::Note(args) => {
            add(session, &mut book, &args.which, &args.who, What::Noted { text: args.text.clone() })?;
        }
        Incident::Role(args) => {
            let what = What::Given { role: args.role.into(), to: args.name.clone() };
            add(session, &mut book, &args.which, &args.who, what)?;
        }
        Incident::Update(args) => update(session, &mut book, args)?,
        Incident::Close(args) => add(session, &mut book, &args.which, &args.who, What::Closed)?,
        Incident::Show(args) => show(session, &book, args.id.as_deref()).await?,
        Incident::List(_) => list(session, &book)?,
        Incident::Report(args) => {
            let incident = named(session, &book, args.id.as_deref())?;
            let now = session.clock.now();
            let events = timeline(&incident, incident_events::noted(session).await, now);
            session.output.text(&postmortem::postmortem(&incident, &events, now))?;
        }
    }
    Ok(Exit::Done)
}

/// The book of this root. It needs no environment that runs, but one that was there once.
fn open(session: &Session) -> Result<Book, Failure> {
    let identity = identity::read(&session.root)?.ok_or_else(|| {
        let root = session.root.path().display();
        Fault::new(format!("there is no environment in {root}, and so no incident of it"))
            .hint(format!("name the one that is meant with --env; `{}` makes it", session.command("up")))
    })?;
    let path = session.root.state().join("incidents.db");
    files::create_dir(&session.root.state(), Access::Owner)?;
    Book::open(&path).and_then(|book| book.of(&identity.id)).map_err(|fault| told(session, &fault))
}

fn entry(session: &Session, who: &Who, what: What) -> Entry {
    Entry { at: session.clock.now(), by: who.by.clone().unwrap_or_else(host::own::user_name), what }
}

fn told(session: &Session, fault: &BookFault) -> Failure {
    let hint = match fault {
        BookFault::NoneOpen => format!("`{} 'WHAT VISITORS SEE'` opens one", session.command("incident open")),
        BookFault::AlreadyOpen(_) => {
            format!("`{} 'TEXT'` adds to it, `incident close` ends it", session.command("incident note"))
        }
        BookFault::Unknown(_) | BookFault::Closed(_) => {
            format!("`{}` shows them", session.command("incident list"))
        }
        BookFault::NotResolved(_) => {
            format!("`{} resolved 'TEXT'` says it", session.command("incident update"))
        }
        BookFault::Open(_) | BookFault::Sqlite(_) | BookFault::Json(_) => {
            "see whether the disk is full; until then write it down elsewhere".to_owned()
        }
    };
    let headline = match fault {
        BookFault::Open(_) | BookFault::Sqlite(_) | BookFault::Json(_) => Fault::because("nothing was kept", fault),
        other => Fault::new(other.to_string()),
    };
    Failure::Work(headline.hint(hint))
}

fn id(session: &Session, text: &str) -> Result<IncidentId, Failure> {
    text.parse().map_err(|error: NoId| {
        Failure::Usage(Fault::new(error.to_string()).hint(format!("`{}` shows them", session.command("incident list"))))
    })
}

/// The incident that is meant: by its name, else the open one, else the newest.
fn named(session: &Session, book: &Book, asked: Option<&str>) -> Result<incidents::Incident, Failure> {
    let found = match asked {
        Some(asked) => book.incident(id(session, asked)?),
        None => book.all().and_then(|all| {
            let open = all.iter().position(|incident| incident.closed.is_none()).unwrap_or(0);
            all.into_iter().nth(open).ok_or(BookFault::NoneOpen)
        }),
    };
    found.map_err(|fault| told(session, &fault))
}

/// The incident that is added to: by its name, else the open one.
fn meant(session: &Session, book: &Book, which: &Which) -> Result<IncidentId, Failure> {
    match &which.incident {
        Some(asked) => id(session, asked),
        None => {
            let open = book.current().map_err(|fault| told(session, &fault))?;
            open.map(|incident| incident.id).ok_or_else(|| told(session, &BookFault::NoneOpen))
        }
    }
}

fn add(session: &Session, book: &mut Book, which: &Which, who: &Who, what: What) -> Result<(), Failure> {
    let id = meant(session, book, which)?;
    let entry = entry(session, who, what);
    let incident = book.add(id, &entry).map_err(|fault| told(session, &fault))?;
    match session.output.is_json() {
        true => session.output.json(&incident),
        false => session.output.line(format!("{id}: {}", printable(&timeline::said(&entry.what)))),
    }
}

/// Who is called: the lead, then the others in their order.
fn call(session: &Session, incidents: &Incidents) {
    let contact = |name| incidents.owner(name).map(|owner| owner.contact.as_str()).unwrap_or_default();
    match &incidents.lead {
        Some(lead) => session.output.note(format!("{lead} leads: {}", contact(lead))),
        None => session.output.note("nobody is named who leads: write `lead` into [incidents] of roadbed.toml"),
    }
    let minutes = incidents.answer_within.as_secs() / 60;
    for name in &incidents.escalation {
        session.output.note(format!("after {minutes} minutes without an answer: {name}, {}", contact(name)));
    }
    session.output.note(format!("what to do stands in {}", incidents::runbook::PATH));
}

fn update(session: &Session, book: &mut Book, args: &Update) -> Result<(), Failure> {
    let wrong = || Failure::Usage(Fault::new(format!("{:?} is no time", args.next)).hint("write it like 30m or 1h"));
    let next = lasts(&args.next).ok_or_else(wrong)?;
    let id = meant(session, book, &args.which)?;
    let incident = book.incident(id).map_err(|fault| told(session, &fault))?;
    let product = Project::load(session)?.environment(&incident.environment)?.1.product.to_string();
    let stage = args.stage.into();
    let message = match stage {
        incidents::Stage::Investigating => messages::INVESTIGATING,
        incidents::Stage::Identified => messages::IDENTIFIED,
        incidents::Stage::Monitoring => messages::MONITORING,
        incidents::Stage::Resolved => messages::RESOLVED,
    };
    let now = session.clock.now();
    let text = message.filled(&[
        ("product", &product),
        ("what", &args.text),
        ("since", &clock_time(incident.opened)),
        ("until", &clock_time(now)),
        ("next", &clock_time(now.after(next))),
    ]);
    let entry = entry(session, &args.who, What::Told { stage, message: text.clone() });
    let incident = book.add(id, &entry).map_err(|fault| told(session, &fault))?;
    match session.output.is_json() {
        true => session.output.json(&incident),
        false => session.output.line(printable(&text)),
    }
}

/// `2026-03-01 10:15 UTC`: customers are spared the seconds.
fn clock_time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

async fn show(session: &Session, book: &Book, asked: Option<&str>) -> Result<(), Failure> {
    let incident = named(session, book, asked)?;
    let timeline = timeline(&incident, incident_events::noted(session).await, session.clock.now());
    let output = &session.output;
    if output.is_json() {
        return output.json(&Shown { incident, timeline });
    }
    let how = incident.closed.map_or_else(|| "open".to_owned(), |closed| format!("closed {closed}"));
    output.line(format!("{}: {} ({}, {how})", incident.id, printable(&incident.summary), incident.severity))?;
    for (role, who) in &incident.roles {
        output.line(format!("  {role:<14}{}", printable(who)))?;
    }
    let mut table = Table::new(["WHEN", "FROM", "WHAT"]);
    for event in timeline {
        table.row(vec![event.at.to_string(), event.origin.as_str().to_owned(), printable(&event.text)]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

fn list(session: &Session, book: &Book) -> Result<(), Failure> {
    let incidents = book.all().map_err(|fault| told(session, &fault))?;
    let output = &session.output;
    if output.is_json() {
        return output.json(&All { incidents });
    }
    if incidents.is_empty() {
        output.note("there was no incident yet");
        return Ok(());
    }
    let mut table = Table::new(["INCIDENT", "SEVERITY", "OPENED", "CLOSED", "LEAD", "WHAT"]);
    for incident in incidents {
        let closed = incident.closed.map_or_else(|| "-".to_owned(), |closed| closed.to_string());
        let lead = incident.lead().unwrap_or("-").to_owned();
        table.row(vec![
            incident.id.to_string(),
            incident.severity.to_string(),
            incident.opened.to_string(),
            closed,
            lead,
            printable(&incident.summary),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}
