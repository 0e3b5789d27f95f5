//! Looking at a replica set: each member from outside, the set as its primary has it.

use futures_util::future::join_all;
use host::files;
use mongodb::bson::Document;
use reconcile::Fault;
use reconcile::ports::{UnitState, UnitStatus};

use super::ask::{Says, State, ask};
use super::config::{self, Seat};
use super::{latest_primary, unit_of};
use crate::engines::Located;
use crate::engines::find::Found;
use crate::ground::file_fault;
use crate::mongo::client::code;
use crate::mongo::observe::{self, Serving};
use crate::mongo::place::{Mode, Place};
use crate::mongo::{Mongo, UNIT};

/// What a look at a set found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Those that are wanted, then those that the set has beside.
    pub members: Vec<Member>,
    /// Whether some member could tell who is in the set.
    pub config: Known,
    /// Users, as the primary has them; `None` without a primary.
    pub users: Option<Serving>,
    /// It is noted that the administrator exists.
    pub noted: bool,
}

/// What could be found out about the configuration of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nobody could be asked.
    Nothing,
    /// The first member has its users, and no set yet.
    NoSet,
    Seats,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub number: u32,
    pub port: u16,
    pub wanted: bool,
    pub run: Run,
    pub state: State,
    pub in_set: InSet,
    pub has_data: bool,
}

/// What the keeper says of a member's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    AsSpecified,
    /// It runs as it was specified before.
    Outdated,
    Down,
    /// It dies again and again.
    CrashLoop,
}

/// Whether the set has a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InSet {
    No,
    Yes,
    /// At the port that it had before.
    AtOldPort,
}

impl Set {
    pub(crate) fn primary(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.state == State::Primary)
    }
}

pub(crate) async fn observe(mongo: &Mongo) -> Result<Set, Fault> {
    let (engine, units) = (engine(mongo).await?, mongo.ground.units.list().await?);
    let said = join_all(mongo.places().map(|place| ask(place.port))).await;
    let mut members: Vec<Member> = mongo
        .places()
        .zip(&said)
        .map(|(place, says)| look(place, engine.as_ref(), &units, says.state, Who::Wanted))
        .collect::<Result<_, _>>()?;
    let (known, seats) = who_is_in(mongo, &members, &said).await?;
    for member in &mut members {
        let seat = seats.iter().find(|seat| seat.number == member.number);
        member.in_set = match seat {
            None => InSet::No,
            Some(seat) if seat.port == member.port => InSet::Yes,
            Some(_) => InSet::AtOldPort,
        };
    }
    let beside: Vec<&Seat> = seats.iter().filter(|seat| members.iter().all(|one| one.number != seat.number)).collect();
    let mut all = said;
    for seat in beside {
        let place = mongo.place_of(seat.number, seat.port);
        let says = ask(seat.port).await;
        members.push(look(&place, engine.as_ref(), &units, says.state, Who::Beside)?);
        all.push(says);
    }
    // One primary at most: whoever only believes it, is not one.
    let primary = latest_primary(members.iter().map(|member| member.port).zip(&all));
    for member in &mut members {
        if member.state == State::Primary && Some(member.port) != primary {
            member.state = State::Secondary;
        }
    }
    let users = match primary {
        Some(port) => observe::users_at(mongo, port).await?,
        None => None,
    };
    let noted = files::exists(&mongo.place.guarded_mark());
    Ok(Set { members, config: known, users, noted })
}

async fn engine(mongo: &Mongo) -> Result<Option<Located>, Fault> {
    Ok(match mongo.engine.find().await? {
        Found::Here(engine) => Some(engine),
        Found::Absent { .. } => None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Wanted,
    /// In the set, and no longer wanted.
    Beside,
}

fn look(
    place: &Place,
    engine: Option<&Located>,
    units: &[UnitStatus],
    state: State,
    who: Who,
) -> Result<Member, Fault> {
    let unit = units.iter().find(|unit| unit.name == place.name);
    let run = match unit.map(|unit| unit.state) {
        Some(UnitState::Running) => {
            let revision = engine.map(|engine| place.unit(engine, Mode::Serving).revision);
            if unit.map(|unit| &unit.revision) == revision.as_ref() { Run::AsSpecified } else { Run::Outdated }
        }
        Some(UnitState::CrashLoop) => Run::CrashLoop,
        _ => Run::Down,
    };
    let (wanted, in_set) = match who {
        Who::Wanted => (true, InSet::No),
        Who::Beside => (false, InSet::Yes),
    };
    Ok(Member { number: place.number, port: place.port, wanted, run, state, in_set, has_data: holds_data(place)? })
}

/// Whether there is anything of a server's in its data folder; our own marks begin with a dot.
pub(crate) fn holds_data(place: &Place) -> Result<bool, Fault> {
    let files = files::list(&place.data).map_err(|fault| file_fault(UNIT, &fault))?;
    let is_mark =
        |file: &std::path::PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    Ok(!files.iter().all(is_mark))
}

/// The set as its primary has it, or whoever else can be asked. A member that copies knows no users, and tells nothing.
async fn who_is_in(mongo: &Mongo, members: &[Member], said: &[Says]) -> Result<(Known, Vec<Seat>), Fault> {
    let mut ports: Vec<(State, u16)> = members.iter().map(|member| (member.state, member.port)).collect();
    let elsewhere = said.iter().filter_map(|says| says.knows_primary);
    ports.extend(elsewhere.map(|port| (State::Primary, port)));
    ports.retain(|(state, _)| *state != State::Silent);
    ports.sort_by_key(|(state, _)| match state {
        State::Primary => 0,
        State::Secondary => 1,
        State::Joining => 2,
        State::Outside | State::Silent => 3,
    });
    for (state, port) in ports {
        let client = observe::admin_at(&mongo.ground, port)?;
        match config::read(&client).await {
            Ok(config) => return Ok((Known::Seats, config::seats(&config))),
            Err(fault) if fault.code() == Some(code::NOT_YET_INITIALIZED) && port == mongo.place.port => {
                return Ok((Known::NoSet, Vec::new()));
            }
            Err(fault) if state == State::Primary && fault.is_wrong_password() => {
                return Err(observe::wrong_admin_password(mongo));
            }
            // It went away meanwhile, or has no users yet.
            Err(_) => {}
        }
    }
    Ok((Known::Nothing, Vec::new()))
}

impl Mongo {
    /// Every member that is wanted.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.place).chain(&self.others)
    }

    /// A member by its number: also one that is no longer wanted.
    pub(crate) fn place_of(&self, number: u32, port: u16) -> Place {
        let known = self.places().find(|place| place.number == number && place.port == port);
        let made =
            || Place::new(&self.ground.root, number, port, self.place.settings.clone(), self.ground.require.clone());
        known.cloned().unwrap_or_else(made)
    }
}

impl Member {
    pub(crate) fn unit(&self) -> String {
        unit_of(self.number)
    }
}

/// Whether a configuration is of a set that has more than this one member.
pub(crate) fn has_more(config: &Document, port: u16) -> bool {
    let seats = config::seats(config);
    seats.len() > 1 && seats.iter().any(|seat| seat.number == 1 && seat.port == port)
}
