//! One convergence of the whole environment: build the world from what is wanted, converge its graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::join;
use manifest::{AppName, Ceiling, Environment};
use reconcile::ports::{Safeguard, UnitStatus, Units};
use reconcile::{Event, Fault, Progress, Tools};
use stores::mongo::members::is_member;

use stores::redis::{Purpose, Settings};

use super::renewing::{self, CertificateStatus, Trouble};
use super::wire::{Message, Role, Status, Unit};
use super::{Control, identity, possessions, rotation_request, scaling, sleeping, source_maps};
use crate::expiry;
use crate::keeper::KeeperState;
use crate::roots::Roots;
use crate::wanted;
use crate::wanted::Wanted;
use crate::world::{Delivered, Ground, Ports, World};

/// Converges to `wanted`, which is kept first: a crash from then on changes nothing about what will be. What cannot be had at
/// all, such as a port that a stranger has, is refused before: then what was wanted until now still is.
pub async fn converge(control: &Control, want: &Wanted, progress: Arc<dyn Progress>) -> Result<Message, Fault> {
    let _turn = control.turn.lock().await;
    let start = control.clock.instant();
    identity::refuse_lost_secrets(&control.root)?;
    let identity = identity::read(&control.root)?.ok_or_else(|| lost_identity(control))?;
    possessions::refuse_strange_secrets(
        &control.root,
        &identity,
        &Roots::new(want.state.clone(), want.config.clone()),
    )?;
    possessions::refuse_strange_data(&control.root, &identity)?;
    let lost = possessions::lost(&control.root, &identity);
    let mut world = self::world(control, want, Ports::MayMove).await?;
    if let Some(fault) = lacking(&wanted::resolve(want)?, &control.keeper.health().await?.missing) {
        return Err(fault);
    }
    wanted::write(&control.root, want)?;
    sleeping::begin_to_wake(control)?;
    let tell = |note: &String| progress.emit(Event::Noted { note: note.clone() });
    lost.iter().chain(&world.notes).for_each(tell);
    let tools = Tools { journal: control.journal.clone(), progress: progress.clone(), clock: control.clock.clone() };
    let mut report = reconcile::converge(&world.graph, &tools).await;
    if !report.failed.is_empty()
        && let Ok(elsewhere) = self::world(control, want, Ports::MayMove).await
        && !elsewhere.notes.is_empty()
    {
        // Between choosing a port and listening on it somebody else took it. What did not get ready for that gets ready now.
        elsewhere.notes.iter().for_each(tell);
        let steps = report.steps;
        report = reconcile::converge(&elsewhere.graph, &tools).await;
        report.steps += steps;
        world = elsewhere;
    }
    control.has_converged();
    control.renewing.look_again();
    match world.mapped() {
        // Nobody waits for it: the next convergence brings what this one did not.
        Ok(mapped) => drop(tokio::spawn(source_maps::bring(control.root.clone(), mapped))),
        Err(fault) => tracing::warn!(causes = ?fault.causes, "cannot see which source maps there are: {fault}"),
    }
    if report.failed.is_empty() && report.skipped.is_empty() {
        sleeping::forget(&control.root)?;
    }
    identity::note_secrets(&control.root)?;
    possessions::note(&control.root, &possessions::data_folders(world.environment()))?;
    let took = control.clock.instant().saturating_duration_since(start);
    Ok(Message::Converged {
        steps: report.steps,
        failed: report.failed.keys().map(ToString::to_string).collect(),
        skipped: report.skipped.iter().map(ToString::to_string).collect(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        status: Box::new(status(control).await?),
    })
}

fn lost_identity(control: &Control) -> Fault {
    Fault::new(format!("cannot use the root {}: its environment.json is missing", control.root.path().display()))
        .hint("restore environment.json from a backup of the root")
}

/// The world as it is wanted, wired.
pub(super) async fn world(control: &Control, want: &Wanted, ports: Ports) -> Result<World, Fault> {
    wired(control, want, control.delivering.delivered()?, ports).await
}

/// With two instances of an app beside those that serve.
pub(super) async fn world_with_trial(control: &Control, want: &Wanted, app: &AppName) -> Result<World, Fault> {
    let delivered = Delivered { trial: Some(app.clone()), ..control.delivering.delivered()? };
    wired(control, want, delivered, Ports::Stay).await
}

async fn wired(control: &Control, want: &Wanted, delivered: Delivered, ports: Ports) -> Result<World, Fault> {
    let alive = control.keeper.list().await?;
    refuse_while_stopping(control).await?;
    let ground = Ground {
        root: control.root.clone(),
        id: control.id.clone(),
        clock: control.clock.clone(),
        units: control.keeper.clone(),
        sockets: control.keeper.clone(),
        marks: control.marks.clone(),
    };
    World::build(ground, want, &delivered, &alive, ports)
}

/// While the environment is being stopped, units vanish one by one; whoever took that for the world as it is would start them
/// again. Ask after having looked at the units: a keeper that keeps on *now* had not begun to stop *then*.
pub async fn refuse_while_stopping(control: &Control) -> Result<(), Fault> {
    match control.keeper.health().await?.state {
        KeeperState::Running => Ok(()),
        KeeperState::Stopping => {
            Err(Fault::new("the environment is being stopped").hint("wait for its end, then `roadbed up`"))
        }
    }
}

/// Why an environment cannot come up on a machine that lacks safeguards which the manifest requires, if it does.
fn lacking(environment: &Environment, missing: &BTreeMap<Safeguard, String>) -> Option<Fault> {
    let required = environment.require.iter().map(|wanted| crate::world::safeguard(*wanted));
    let lacking: Vec<_> = required.filter_map(|safeguard| Some((safeguard, missing.get(&safeguard)?))).collect();
    let (first, _) = lacking.first()?;
    let name = &environment.name;
    let fault =
        Fault::new(format!("cannot bring up {name} here: the manifest requires what this machine does not allow"));
    let fault = lacking.iter().fold(fault, |fault, (safeguard, why)| fault.cause(format!("{safeguard}: {why}")));
    Some(fault.hint(format!(
        "run Roadbed as root on a host that allows it, or take \"{first}\" out of `require` of [environments.{name}]"
    )))
}

/// What a convergence would do.
pub async fn plan(control: &Control, want: &Wanted) -> Result<Message, Fault> {
    let _turn = control.turn.lock().await;
    let world = world(control, want, Ports::MayMove).await?;
    Ok(Message::Planned { resources: reconcile::plan(&world.graph).await? })
}

/// Who is primary among those that hold the same, as the sentinels say.
fn roles(control: &Control, want: Option<&Wanted>, units: &[UnitStatus]) -> Result<BTreeMap<String, Role>, Fault> {
    let (Some(want), Some(primary)) = (want, stores::redis::primary(&control.root)?) else {
        return Ok(BTreeMap::new());
    };
    let ports = crate::world::ports_in_use(&control.root, want, units)?;
    let environment = wanted::resolve(want)?;
    let several = environment.redis.iter().flat_map(Settings::all).filter(Settings::is_replicated);
    let members = several.filter(|settings| settings.purpose == Purpose::Durable).map(|settings| settings.unit());
    let role = |unit: String| {
        let role = if *ports.get(&unit)? == primary { Role::Primary } else { Role::Replica };
        Some((unit, role))
    };
    Ok(members.filter_map(role).collect())
}

/// What there is now.
pub async fn status(control: &Control) -> Result<Status, Fault> {
    let want = wanted::read(&control.root)?;
    let units = control.keeper.list().await?;
    let urls = match &want {
        // Without a socket to come in by there is no address to show.
        Some(want) if units.iter().any(|unit| unit.name == crate::world::serving::EDGE) => {
            crate::world::urls(&control.root, &wanted::resolve(want)?, want)?
        }
        _ => std::collections::BTreeMap::new(),
    };
    let console = match &want {
        Some(want) if !urls.is_empty() => crate::world::console_url(&control.root, &wanted::resolve(want)?, want)?,
        _ => None,
    };
    // Like the addresses, this is of an environment that is up.
    let members = async {
        match &want {
            Some(want) if units.iter().any(|unit| is_member(&unit.name)) => {
                crate::world::members(&control.root, &wanted::resolve(want)?).await
            }
            _ => Ok(Vec::new()),
        }
    };
    let (mongodb, confined, network) =
        join!(members, control.keeper.confined(), crate::world::network::observe(&control.root));
    // What the sentinels noted cannot be read: whoever looks sees the processes all the same.
    let roles = roles(control, want.as_ref(), &units).unwrap_or_default();
    let is_capped = match &want {
        Some(want) => wanted::resolve(want)?.preview.ceiling != Ceiling::default(),
        None => false,
    };
    let together = if is_capped { Some(control.keeper.together().await?.observed) } else { None };
    let ends = want.as_ref().map(expiry::of).transpose()?.flatten();
    let certificate = certificate(control, want.as_ref())?;
    let scaled = want.as_ref().map(|want| scaling::status(control, want)).transpose().ok().flatten();
    Ok(Status {
        scaled: scaled.unwrap_or_default(),
        mongodb: mongodb?,
        certificate,
        ends,
        environment: want.map(|want| want.environment).unwrap_or_default(),
        root: control.root.path().to_owned(),
        urls,
        console,
        ca_file: control.root.ca_certificate(),
        units: Unit::all(units, confined?, &roles),
        network: Some(network),
        together,
        // What cannot be told here, a row of the gate tells.
        overdue: rotation_request::overdue(control).unwrap_or_default(),
        drift: control.drift.get(),
        api: control.api.listening(),
        sleep: sleeping::read(&control.root),
        trouble: None,
    })
}

/// How things stand with the certificate that an authority issued, where one does.
fn certificate(control: &Control, want: Option<&Wanted>) -> Result<Option<CertificateStatus>, Fault> {
    let Some(want) = want else { return Ok(None) };
    let told = renewing::status(&control.root, &wanted::resolve(want)?, want, control.clock.now())?;
    Ok(told.map(|told| match control.renewing.trouble() {
        // What cannot be written down is in no book.
        Some(why) => {
            CertificateStatus { trouble: Some(Trouble { why, failures: 1, since: None, again: None }), ..told }
        }
        None => told,
    }))
}

#[cfg(test)]
mod tests {
    use manifest::{EnvRef, Source};

    use super::*;

    #[test]
    fn every_safeguard_that_is_required_and_missing_is_told_with_its_reason() {
        let text = include_str!("../../../../roadbed.toml").replacen(
            "[environments.staging]\n",
            "[environments.staging]\nrequire = [\"own-user\", \"cgroup\", \"private-tmp\"]\n",
            1,
        );
        let (manifest, _) = manifest::parse(&Source::new("roadbed.toml", text));
        let manifest = manifest.unwrap();
        let environment = |name: &str| manifest.resolve(&name.parse::<EnvRef>().unwrap()).unwrap();
        let missing = |safeguards: &[Safeguard]| -> BTreeMap<_, _> {
            safeguards.iter().map(|safeguard| (*safeguard, format!("no {safeguard} here"))).collect()
        };
        let all = missing(&Safeguard::ALL);
        assert_eq!(lacking(&environment("local"), &all), None, "nothing is required of a developer's machine");
        assert_eq!(lacking(&environment("staging"), &missing(&[Safeguard::ReadOnlyRelease])), None);
        let fault = lacking(&environment("staging"), &all).unwrap();
        assert!(fault.message.contains("staging"));
        assert_eq!(
            fault.causes,
            ["own-user: no own-user here", "cgroup: no cgroup here", "private-tmp: no private-tmp here"]
        );
        assert!(fault.hint.unwrap().contains("[environments.staging]"));
    }
}
