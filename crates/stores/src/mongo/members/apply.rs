//! Doing what the plan says of members and of the set. Each effect is waited for, and may be found done already.

use std::time::Duration;

use futures_util::future::try_join_all;
use mongodb::bson::{Document, doc};
use reconcile::Fault;
use reconcile::ports::UnitState;

use super::ask::{Says, State, ask};
use super::config::{self, Seat};
use super::plan::Step;
use super::{POLL, unit_of};
use crate::mongo::Mongo;
use crate::mongo::apply::{engine, load_certificate, starting, write_member_files};
use crate::mongo::client::{MongoFault, Trust, code, command, command_within};
use crate::mongo::observe::asking;
use crate::mongo::place::Place;
use crate::mongo::version;
use crate::start::Look;

/// The primary asks the others whether they agree, and gives a silent one ten seconds.
const RECONFIG_DEADLINE: Duration = Duration::from_secs(30);
/// So long it is tried again, where another change is under way or the primary has just changed.
const AGREEMENT_DEADLINE: Duration = Duration::from_secs(60);
/// A copy of a hundred gigabytes takes longer: then the next convergence goes on waiting.
const COPY_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// A member that is asked to hand over waits for so long until another has all it has.
const CATCH_UP: Duration = Duration::from_secs(10);
/// One that does not stay up is given as many starts as the keeper takes to call it a crash loop, and some.
const STARTS: usize = 8;

pub(crate) async fn perform(mongo: &Mongo, step: &Step) -> Result<(), Fault> {
    match *step {
        Step::Start { number, port } => start(mongo, &mongo.place_of(number, port)).await,
        Step::StartAnew { number, port } => start_anew(mongo, &mongo.place_of(number, port)).await,
        Step::LoadCertificate { port, .. } => load_certificate(mongo, port).await,
        Step::AwaitPrimary => primary(mongo).await.map(|_| ()),
        Step::MoveAll => move_all(mongo).await,
        Step::Await { number, port } => until_healthy(mongo, &mongo.place_of(number, port)).await,
        Step::Add { number, port } => {
            put_seat(mongo, Seat { number, port }).await?;
            until_healthy(mongo, &mongo.place_of(number, port)).await?;
            until_it_counts(mongo).await
        }
        Step::MoveMember { number, port } => {
            put_seat(mongo, Seat { number, port }).await?;
            until_healthy(mongo, &mongo.place_of(number, port)).await
        }
        Step::Remove { number, port } => remove(mongo, number, port).await,
        Step::Restart { number, port } => restart(mongo, &mongo.place_of(number, port)).await,
    }
}

/// What a member says of itself now.
async fn says(mongo: &Mongo, port: u16) -> Result<Says, Fault> {
    Ok(ask(port, &Trust::of(&mongo.ground)?).await)
}

/// The port of the primary, waited for.
async fn primary(mongo: &Mongo) -> Result<u16, Fault> {
    mongo.members.elected(&mongo.ground).await
}

/// Makes a member run until it answers, in whatever state. While others are primary without it, one that does not stay up is
/// no failure: the next look finds the crash loop, and tells it.
async fn start(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    write_member_files(mongo, place)?;
    let mut last = None;
    for _ in 0..STARTS {
        match run(mongo, place).await {
            Ok(()) => return Ok(()),
            Err(fault) => last = Some(fault),
        }
        let units = mongo.ground.units.list().await?;
        let state = units.iter().find(|unit| unit.name == place.name).map(|unit| unit.state);
        if mongo.members.primary_now(&Trust::of(&mongo.ground)?).await.is_none() {
            break;
        }
        match state {
            Some(UnitState::CrashLoop) => {
                tracing::warn!(unit = place.name, "does not stay up; the other members serve");
                return Ok(());
            }
            Some(UnitState::Backoff) => {}
            _ => break,
        }
    }
    last.map_or(Ok(()), Err)
}

async fn run(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    let engine = engine(mongo).await?;
    version::refuse_newer(place, engine.version)?;
    let spec = place.unit(&engine);
    let before = pid(mongo, &place.name, Some(&spec.revision)).await?;
    let revision = spec.revision.clone();
    let ready = || async {
        // One that is replaced answers until it is gone.
        let now = pid(mongo, &place.name, Some(&revision)).await?;
        let is_it = now.is_some() && (before.is_none() || now == before);
        Ok(if is_it && says(mongo, place.port).await?.state != State::Silent { Look::Ready } else { Look::NotYet })
    };
    starting(mongo, place).run(spec, ready).await?;
    version::note(place, engine.version)
}

/// For a member whose certificate nobody believes: neither we nor the other members, so that it is of no use as it runs.
async fn start_anew(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    let engine = engine(mongo).await?;
    write_member_files(mongo, place)?;
    mongo.ground.units.restart(&place.name).await?;
    // The one before was not recognised: whoever is, is the one that read its certificate anew.
    let ready =
        || async { Ok(if says(mongo, place.port).await?.state == State::Silent { Look::NotYet } else { Look::Ready }) };
    starting(mongo, place).run(place.unit(&engine), ready).await
}

/// The process of a unit, if it runs with this revision.
async fn pid(mongo: &Mongo, name: &str, revision: Option<&String>) -> Result<Option<u32>, Fault> {
    let units = mongo.ground.units.list().await?;
    let unit = units.iter().find(|unit| unit.name == name && revision.is_none_or(|wanted| &unit.revision == wanted));
    Ok(unit.and_then(|unit| unit.pid))
}

async fn until_healthy(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    let give_up = mongo.ground.clock.instant() + COPY_DEADLINE;
    while !says(mongo, place.port).await?.state.is_healthy() {
        let units = mongo.ground.units.list().await?;
        let unit = units.iter().find(|unit| unit.name == place.name);
        if unit.is_none_or(|unit| matches!(unit.state, UnitState::CrashLoop | UnitState::Held | UnitState::Lost)) {
            return Err(Fault::new(format!("{} does not stay up while it copies the data", place.name))
                .hint(format!("see `roadbed logs {}`", place.name))
                .retry_safe());
        }
        if mongo.ground.clock.instant() >= give_up {
            return Err(Fault::new(format!("{} has not caught up yet", place.name))
                .cause(format!("it was given {} minutes", COPY_DEADLINE.as_secs() / 60))
                .hint(format!("it goes on by itself, and `roadbed up` waits again; see `roadbed logs {}`", place.name))
                .retry_safe());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// A member that joins has no vote while it copies. The primary gives it one by a change of its own, which must be over before
/// there is another.
async fn until_it_counts(mongo: &Mongo) -> Result<(), Fault> {
    let give_up = mongo.ground.clock.instant() + AGREEMENT_DEADLINE;
    loop {
        let client = mongo.admin_at(primary(mongo).await?)?;
        let status = command(&client, "admin", doc! { "replSetGetStatus": 1 }).await;
        let config = config::read(&client).await;
        if let (Ok(status), Ok(config)) = (&status, &config)
            && status.get_i32("votingMembersCount").ok() == i32::try_from(config::seats(config).len()).ok()
        {
            return Ok(());
        }
        if mongo.ground.clock.instant() >= give_up {
            return Err(Fault::new("the newest member of mongodb has no vote yet")
                .hint("see `roadbed logs mongodb`; `roadbed up` waits again")
                .retry_safe());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn put_seat(mongo: &Mongo, seat: Seat) -> Result<(), Fault> {
    reconfigure(mongo, |seats| {
        let mut seats: Vec<Seat> = seats.into_iter().filter(|other| other.number != seat.number).collect();
        seats.push(seat);
        seats.sort_by_key(|seat| seat.number);
        seats
    })
    .await
}

/// A primary that is to leave hands over first. Nobody is taken out whose absence would leave no majority.
async fn remove(mongo: &Mongo, number: u32, port: u16) -> Result<(), Fault> {
    hand_over(mongo, port).await?;
    let client = mongo.admin_at(primary(mongo).await?)?;
    let config = config::read(&client).await.map_err(|fault| asking(&fault))?;
    let staying: Vec<Seat> = config::seats(&config).into_iter().filter(|seat| seat.number != number).collect();
    must_be_majority(mongo, staying.len(), &staying, &unit_of(number), "take", "out of the replica set").await?;
    reconfigure(mongo, |seats| seats.into_iter().filter(|seat| seat.number != number).collect()).await
}

async fn restart(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    let primary = primary(mongo).await?;
    let client = mongo.admin_at(primary)?;
    let config = config::read(&client).await.map_err(|fault| asking(&fault))?;
    let seats = config::seats(&config);
    if seats.len() > 1 {
        let others: Vec<Seat> = seats.iter().copied().filter(|seat| seat.number != place.number).collect();
        must_be_majority(mongo, seats.len(), &others, &place.name, "restart", "now").await?;
        hand_over(mongo, place.port).await?;
    }
    run(mongo, place).await?;
    until_healthy(mongo, place).await
}

/// Refuses to go on where these members, as far as they are healthy, are no majority of so many.
async fn must_be_majority(
    mongo: &Mongo,
    all: usize,
    of: &[Seat],
    unit: &str,
    verb: &str,
    rest: &str,
) -> Result<(), Fault> {
    let asked = try_join_all(of.iter().map(|seat| says(mongo, seat.port))).await?;
    let healthy = asked.iter().filter(|says| says.state.is_healthy()).count();
    if healthy > all / 2 {
        return Ok(());
    }
    Err(Fault::new(format!("cannot {verb} {unit} {rest}"))
        .cause(format!("of the {} others {healthy} are up, which would leave no majority of {all}", of.len()))
        .hint("`roadbed status` shows which member is missing; when it is back, run `roadbed up` again")
        .retry_safe())
}

/// Lets another member become primary, if this one is.
async fn hand_over(mongo: &Mongo, port: u16) -> Result<(), Fault> {
    if says(mongo, port).await?.state != State::Primary {
        return Ok(());
    }
    let client = mongo.admin_at(port)?;
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let ask_to =
        doc! { "replSetStepDown": seconds(AGREEMENT_DEADLINE), "secondaryCatchUpPeriodSecs": seconds(CATCH_UP) };
    match command_within(RECONFIG_DEADLINE, &client, "admin", ask_to).await {
        // Without a code the connection ended, as it may when it hands over; with one that it is none, it has already.
        Err(fault) if fault.code().is_some_and(|code| code != code::NOT_WRITABLE_PRIMARY) => {
            return Err(asking(&fault));
        }
        Ok(_) | Err(_) => {}
    }
    let give_up = mongo.ground.clock.instant() + AGREEMENT_DEADLINE;
    while primary(mongo).await? == port {
        if mongo.ground.clock.instant() >= give_up {
            return Err(Fault::new("no other member of mongodb becomes primary").retry_safe());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Changes who is in the set, at the primary, from the configuration that it has at that moment.
async fn reconfigure(mongo: &Mongo, change: impl Fn(Vec<Seat>) -> Vec<Seat>) -> Result<(), Fault> {
    let give_up = mongo.ground.clock.instant() + AGREEMENT_DEADLINE;
    loop {
        let client = mongo.admin_at(primary(mongo).await?)?;
        let changed = match config::read(&client).await {
            Ok(config) => {
                let Some(changed) = config::with_seats(&config, &change(config::seats(&config))) else { return Ok(()) };
                command_within(RECONFIG_DEADLINE, &client, "admin", doc! { "replSetReconfig": changed }).await
            }
            Err(fault) => Err(fault),
        };
        match changed {
            // Seen by the next turn, which finds nothing to change.
            Ok(_) => {}
            Err(fault) if is_passing(&fault) && mongo.ground.clock.instant() < give_up => {}
            Err(fault) => {
                return Err(Fault::because("cannot change the members of the replica set", &fault).hint(
                    "see `roadbed logs mongodb`; a member that holds data of another set must be moved away first",
                ));
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Another change is under way, or another member has just become primary.
fn is_passing(fault: &MongoFault) -> bool {
    match fault.code() {
        None => true,
        Some(code) => [
            code::NOT_WRITABLE_PRIMARY,
            code::PRIMARY_STEPPED_DOWN,
            code::INTERRUPTED_BY_CHANGE_OF_STATE,
            code::CONFIGURATION_IN_PROGRESS,
            code::NEWER_CONFIGURATION,
            code::CONFIGURATION_NOT_COMMITTED,
            code::NOT_PRIMARY_OR_SECONDARY,
        ]
        .contains(&code),
    }
}

/// No member finds itself under the old addresses, so none can agree: forced, at whoever knows the set. Who becomes primary then is
/// decided by a vote, as always, and whoever lacks what a majority has is not elected.
async fn move_all(mongo: &Mongo) -> Result<(), Fault> {
    let mut last = None;
    for place in mongo.places() {
        let client = mongo.admin_at(place.port)?;
        let config = match config::read(&client).await {
            Ok(config) => config,
            Err(fault) => {
                last = Some(asking(&fault));
                continue;
            }
        };
        let known = config::seats(&config);
        let moved = |seat: &Seat| {
            let place = mongo.places().find(|place| place.number == seat.number);
            place.map(|place| Seat { number: seat.number, port: place.port })
        };
        let Some(seats) = known.iter().map(moved).collect::<Option<Vec<Seat>>>() else {
            return Err(Fault::new("cannot move the replica set to other ports while it has more members than wanted")
                .cause(format!("it has {}, and {} are wanted", known.len(), mongo.places().count()))
                .hint("set `members` of [services.mongodb] to what it was, run `roadbed up`, and make it fewer then"));
        };
        return force(mongo, place.port, &config, &seats).await;
    }
    Err(last.unwrap_or_else(|| Fault::new("no member of mongodb knows its replica set")))
}

async fn force(mongo: &Mongo, port: u16, config: &Document, seats: &[Seat]) -> Result<(), Fault> {
    if let Some(changed) = config::with_seats(config, seats) {
        let client = mongo.admin_at(port)?;
        let reconfigure = doc! { "replSetReconfig": changed, "force": true };
        command_within(AGREEMENT_DEADLINE, &client, "admin", reconfigure).await.map_err(|fault| asking(&fault))?;
    }
    primary(mongo).await.map(|_| ())
}
