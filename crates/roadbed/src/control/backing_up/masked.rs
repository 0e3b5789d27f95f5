//! Documents of a backup, masked, in place of what a preview has.
//!
//! ```text
//!   backup ─► scratch server ─► the sample's rules of this environment's own manifest ─► one file ─► the preview's control ─► MongoDB
//! ```
//!
//! The rules are of whose documents they are, and never of the preview: its commit may say of any field that it is kept.
//!
//! **Invariant:** what was not masked is in no process, no file and no server of the preview.

use std::path::PathBuf;

use host::files;
use manifest::environment::MongoDb;
use manifest::{Change, Instance};
use reconcile::{Fault, Root};
use secrets::audit::{Action, Note};
use stores::mongo::OwnUser;
use stores::mongo::sample::{Contents, Origin, Replaced, SampleFault, file, replace, take_restored};

use super::desk::{Desk, Rebuilt};
use super::watched;
use super::wire::{Begun, MaskedDone, ToBegin, ToMask};
use crate::control::client::ControlClient;
use crate::control::lending::lender;
use crate::control::rotating::{store, store_fault};
use crate::control::{Control, identity, sleeping};
use crate::roots::Roots;
use crate::wanted::{self, Wanted};

/// Where a masked sample lies until the preview has it.
fn folder(root: &Root) -> PathBuf {
    root.path().join("masked")
}

/// Restores in a scratch server, masks, and has the preview put it in.
pub(super) async fn restore(control: &Control, desk: &Desk, ask: &ToMask) -> Result<MaskedDone, Fault> {
    let (preview, root) = preview(control, &desk.want, ask.preview)?;
    let (settings, without_rules) = rules(desk, ask.collection.as_deref())?;
    let there = ControlClient::new(root);
    if let Err(fault) = there.status().await {
        return Err(Fault::new(format!("nothing was restored into {preview}: it is not up"))
            .cause(fault.message)
            .hint(format!("`roadbed preview up {}` brings it up", ask.preview)));
    }
    let until = desk.until(control, ask.at).await?;
    let Rebuilt { scratch, client, restored } = watched(control, desk.rebuilt(control, until)).await?;
    let origin = Origin {
        product: desk.want.product.clone(),
        environment: desk.want.environment.clone(),
        now: restored.at.time(),
    };
    let (contents, told) = take_restored(&client, &restored.database, &settings, origin).await?;
    scratch.end().await?;
    note(control, &desk.want, ask, format!("of {}, masked, for {preview}", restored.at)).await?;
    let folder = folder(&control.root);
    let sample = folder.join("mongodb.sample");
    let handed = hand_over(&there, sample, contents).await;
    let taken_away = files::remove_dir(&folder);
    let begun = handed?;
    taken_away.map_err(|fault| Fault::because("cannot take the masked sample away", &fault))?;
    let left_out = told.into_iter().map(|told| (told.collection, told.left_out)).collect();
    Ok(MaskedDone { restored, preview, collections: begun.collections, left_out, without_rules })
}

async fn hand_over(there: &ControlClient, sample: PathBuf, contents: Contents) -> Result<Begun, Fault> {
    let path = sample.clone();
    let written = tokio::task::spawn_blocking(move || file::write(&path, &contents)).await;
    written.map_err(|error| Fault::because("cannot write the masked sample", &error))?.map_err(|fault| told(&fault))?;
    there.begin(&ToBegin { sample }).await
}

/// Name and root of the preview of a pull request.
fn preview(control: &Control, want: &Wanted, number: u32) -> Result<(String, Root), Fault> {
    let reference = wanted::manifest_as_wanted(want)?.target(&Change::PullRequest(number)).ok_or_else(|| {
        Fault::new("the manifest has no environment per pull request")
            .hint("add [environments.preview] with per = \"pull-request\" and domain = \"pr-{pr}.…\"")
    })?;
    let name = reference.to_string();
    let absent = || {
        Fault::new(format!("there is no {name} on this machine"))
            .hint(format!("`roadbed preview up {number}` makes it; `roadbed preview list` shows which there are"))
    };
    let ours = identity::read(&control.root)?.ok_or_else(absent)?;
    let others = Roots::new(want.state.clone(), want.config.clone()).others(&ours)?;
    let mut found: Vec<Root> =
        others.into_iter().filter(|other| other.identity.environment == name).map(|other| other.root).collect();
    match (found.pop(), &found[..]) {
        (Some(root), []) => Ok((name, root)),
        (None, _) => Err(absent()),
        (Some(root), others) => {
            let fault = Fault::new(format!("there is more than one {name} on this machine"));
            let all = others.iter().chain([&root]);
            Err(all
                .fold(fault, |fault, root| fault.cause(root.path().display().to_string()))
                .hint("take away the one that is not meant: `roadbed preview down` in its checkout"))
        }
    }
}

/// What is restored with its rules, and the collections that stay because they have none.
fn rules(desk: &Desk, only: Option<&str>) -> Result<(MongoDb, Vec<String>), Fault> {
    let (settings, _) = desk.lender.mongodb.clone().ok_or_else(|| Fault::new("this environment has no MongoDB"))?;
    let is_asked = |name: &str| only.is_none_or(|only| only == name);
    let (with, without): (Vec<_>, Vec<_>) = settings
        .collections
        .iter()
        .filter(|collection| is_asked(collection.name.as_str()))
        .cloned()
        .partition(|collection| collection.sample.is_some());
    if let (Some(only), []) = (only, &with[..]) {
        return Err(Fault::new(format!(
            "nothing of {only} may leave: the manifest says of no field what becomes of it"
        ))
        .hint(format!("add [services.mongodb.collections.{only}.sample] to roadbed.toml, then `roadbed up`")));
    }
    let without = without.into_iter().map(|collection| collection.name.to_string()).collect();
    Ok((MongoDb { collections: with, ..settings }, without))
}

/// Before anything leaves: what cannot be noted is not done.
async fn note(control: &Control, want: &Wanted, ask: &ToMask, details: String) -> Result<(), Fault> {
    tracing::info!(by = ask.by, details, "documents of a backup leave");
    let note = Note {
        actor: ask.by.clone(),
        via: "restore".to_owned(),
        action: Action::Exported,
        name: "backup/mongodb".to_owned(),
        version: None,
        reason: String::new(),
        origin: "this machine".to_owned(),
        details,
    };
    let store = store(control, want);
    let kept = tokio::task::spawn_blocking(move || store.note(&[note])).await;
    kept.map_err(|error| Fault::because("control failed over its log", &error))?.map_err(|fault| store_fault(&fault))
}

/// The preview's side: a masked sample in place of what its collections have.
pub(in crate::control) async fn begin(control: &Control, ToBegin { sample }: ToBegin) -> Result<Begun, Fault> {
    let want = wanted::read(&control.root)?.ok_or_else(|| Fault::new("nothing is wanted here"))?;
    let environment = wanted::resolve(&want)?;
    if !matches!(environment.instance, Some(Instance::PullRequest(_))) {
        return Err(Fault::new(format!("{} is no preview, and keeps what it has", want.environment)));
    }
    sleeping::ensure_awake(control).await?;
    let _turn = control.turn.lock().await;
    let lender = lender(control).await?;
    let (settings, provider) = lender.mongodb.as_ref().ok_or_else(|| Fault::new("this preview has no MongoDB"))?;
    let read = tokio::task::spawn_blocking(move || file::read(&sample)).await;
    let contents = read.map_err(|error| Fault::because("cannot read the masked sample", &error))?;
    let contents = contents.map_err(|fault| told(&fault))?;
    if contents.header.product != want.product {
        return Err(Fault::new(format!("the sample is of {}, and this is {}", contents.header.product, want.product)));
    }
    let client = provider.client(OwnUser::Restore, &lender.ground).await?;
    let collections: Vec<Replaced> = replace(&client, settings, &contents, control.clock.now()).await?;
    Ok(Begun { collections })
}

fn told(fault: &SampleFault) -> Fault {
    match std::error::Error::source(fault) {
        Some(source) => Fault::because(fault.to_string(), source).hint(fault.hint()),
        None => Fault::new(fault.to_string()).hint(fault.hint()),
    }
}
