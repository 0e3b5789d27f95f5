//! `roadbed secrets recipients` and `rekey`: who may open the store.

use std::io::Read;

use reconcile::Fault;
use secrets::identity::{NotAKey, PrivateKey, PublicKey};
use secrets::{Recipient, Store};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::command_lock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::secrets::{cannot, open};
use crate::cli::secrets_args::{AddRecipient, BreakGlass, ProveRecipient, Recipients, Rekey, RemoveRecipient, With};
use crate::cli::session::Session;
use crate::render::table::Table;

pub fn run(session: &Session, verb: &Recipients) -> Result<Exit, Failure> {
    match verb {
        Recipients::List(with) => list(session, with),
        Recipients::Add(args) => add(session, args),
        Recipients::Prove(args) => prove(session, args),
        Recipients::Remove(args) => remove(session, args),
        Recipients::Renew(with) => change(session, with, |store| {
            store.renew_operator().map_err(cannot)?;
            Ok("this user's identity is the operator's".to_owned())
        }),
        Recipients::BreakGlass(args) => break_glass(session, args),
    }
}

fn list(session: &Session, with: &With) -> Result<Exit, Failure> {
    let (_, store) = open(session, Some(with))?;
    show(session, &store.recipients().map_err(cannot)?)?;
    Ok(Exit::Done)
}

fn show(session: &Session, all: &[Recipient]) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(&all);
    }
    let mut table = Table::with_head(["NAME", "KIND", "PROVED", "KEY"].map(str::to_owned).into());
    for one in all {
        let proved = one.proved.map_or("unproved".to_owned(), |proved| proved.to_string());
        table.row(vec![one.name.clone(), one.kind.as_str().to_owned(), proved, one.key.clone()]);
    }
    table.lines().into_iter().try_for_each(|line| output.line(line))
}

/// Does something under the lock of the root and says what was done.
fn change(
    session: &Session,
    with: &With,
    work: impl FnOnce(&Store) -> Result<String, Failure>,
) -> Result<Exit, Failure> {
    let (_, store) = open(session, Some(with))?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let done = work(&store)?;
    session.output.note(format!("{} {done}", session.output.notes.good("✓")));
    if session.output.is_json() {
        show(session, &store.recipients().map_err(cannot)?)?;
    }
    Ok(Exit::Done)
}

pub(super) fn key(text: &str) -> Result<PublicKey, Failure> {
    text.parse().map_err(|why: NotAKey| {
        Failure::Usage(
            Fault::new(format!("cannot use this key: {why}"))
                .hint("give what `age-keygen -y` prints, or the line in ~/.ssh/id_ed25519.pub"),
        )
    })
}

#[derive(Serialize)]
struct Added<'a> {
    name: &'a str,
    proved: bool,
    challenge: &'a str,
}

fn add(session: &Session, args: &AddRecipient) -> Result<Exit, Failure> {
    let key = key(&args.key)?;
    let (_, store) = open(session, Some(&args.with))?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let challenge = store.add_recipient(&args.name, &key).map_err(cannot)?;
    // Whoever is here with the private key need not come back with an answer.
    let mut proved = false;
    for path in &args.with.identity {
        let identity = PrivateKey::read(&session.surroundings.folder.join(path));
        let answer = identity.ok().flatten().and_then(|identity| identity.unwrap(challenge.bytes()));
        if let Some(answer) = answer {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            store.prove_recipient(&args.name, &answer).map_err(cannot)?;
            proved = true;
        }
    }
    let output = &session.output;
    let text = challenge.to_text();
    match (output.is_json(), proved) {
        (true, _) => output.json(&Added { name: &args.name, proved, challenge: &text })?,
        (false, true) => output.note(format!("{} {} may open the store, and can", output.notes.good("✓"), args.name)),
        (false, false) => {
            output.note(format!(
                "{} {} may open the store and is unproved: `age -d -i KEY challenge | roadbed secrets recipients prove {}`",
                output.notes.good("✓"),
                args.name,
                args.name
            ));
            output.text(&text)?;
        }
    }
    Ok(Exit::Done)
}

fn prove(session: &Session, args: &ProveRecipient) -> Result<Exit, Failure> {
    let mut answer = Zeroizing::new(String::new());
    std::io::stdin().read_to_string(&mut answer).map_err(|error| {
        Failure::Usage(
            Fault::because("cannot read the answer from stdin", &error)
                .hint("see `roadbed secrets recipients prove --help`"),
        )
    })?;
    change(session, &args.with, |store| {
        store.prove_recipient(&args.name, &answer).map_err(cannot)?;
        Ok(format!("{} is proved able to open the store", args.name))
    })
}

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    /// What they may still know.
    rotate: Vec<Known>,
}

#[derive(Serialize)]
struct Known {
    name: String,
    version: u32,
}

fn remove(session: &Session, args: &RemoveRecipient) -> Result<Exit, Failure> {
    let (_, store) = open(session, Some(&args.with))?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let read = store.remove_recipient(&args.name).map_err(cannot)?;
    let output = &session.output;
    if output.is_json() {
        let rotate = read.into_iter().map(|(name, version)| Known { name: name.to_string(), version }).collect();
        output.json(&Removed { name: &args.name, rotate })?;
        return Ok(Exit::Done);
    }
    output.note(format!("{} {} opens the store no more; it has another key", output.notes.good("✓"), args.name));
    match read.is_empty() {
        true => output.note("the audit log has no value that was read with their key"),
        false => output.note("what was read with their key may still be known: rotate"),
    }
    for (name, version) in read {
        output.line(format!("rotate {name}@{version}"))?;
    }
    Ok(Exit::Done)
}

fn break_glass(session: &Session, args: &BreakGlass) -> Result<Exit, Failure> {
    let keys = args.keys.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
    let three: [PublicKey; 3] = keys.try_into().map_err(|_| {
        Failure::Usage(Fault::new("three keys are needed, of which any two open the store").hint("see --help"))
    })?;
    change(session, &args.with, |store| {
        store.set_break_glass(&three).map_err(cannot)?;
        Ok("any two of these three keys open the store together".to_owned())
    })
}

pub fn rekey(session: &Session, args: &Rekey) -> Result<Exit, Failure> {
    change(session, &args.with, |store| {
        let sealed = store.rekey().map_err(cannot)?;
        Ok(format!("the store has another key; the keys of {sealed} versions are sealed with it"))
    })
}
