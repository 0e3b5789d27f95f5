//! Looking at a replica set: each member from outside, the set as its primary has it.

use futures_util::future::try_join_all;
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
use crate::mongo::certificate::{self, Certificate, Shows};
use crate::mongo::client::{Trust, code, is_refusal};
use crate::mongo::observe::{self, UsersAt};
use crate::mongo::place::Place;
use crate::mongo::{Mongo, UNIT, Users};

/// What a look at a set found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Those that are wanted, then those that the set has beside.
    pub members: Vec<Member>,
    /// Whether some member could tell who is in the set.
    pub config: Known,
    /// Users, as the primary has them; `None` where it cannot be asked.
    pub users: Option<Users>,
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
    /// The primary has our data, and our administrator cannot log in there.
    WithoutAdmin,
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
    pub certificate: Certificate,
    pub shows: Shows,
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
    let trust = Trust::of(&mongo.ground)?;
    let keeper = Keeper { engine, units };
    let look_at = |place: Place, who: Who| {
        let (keeper, trust) = (&keeper, &trust);
        async move { look(mongo, &place, keeper, ask(place.port, trust).await, who).await }
    };
    let looked = try_join_all(mongo.places().map(|place| look_at(place.clone(), Who::Wanted))).await?;
    let (mut members, said): (Vec<Member>, Vec<Says>) = looked.into_iter().unzip();
    let (mut known, seats) = who_is_in(mongo, &members, &said).await?;
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
        let (member, says) = look_at(place, Who::Beside).await?;
        members.push(member);
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
        Some(port) if known != Known::WithoutAdmin => match observe::users_at(mongo, port).await? {
            UsersAt::Seen(users) => Some(users),
            UsersAt::NotYet => None,
            UsersAt::WithoutAdmin => {
                known = Known::WithoutAdmin;
                None
            }
        },
        _ => None,
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

/// What runs, and what it ought to be.
struct Keeper {
    engine: Option<Located>,
    units: Vec<UnitStatus>,
}

async fn look(mongo: &Mongo, place: &Place, keeper: &Keeper, says: Says, who: Who) -> Result<(Member, Says), Fault> {
    let unit = keeper.units.iter().find(|unit| unit.name == place.name);
    let run = match unit.map(|unit| unit.state) {
        Some(UnitState::Running) => {
            let revision = keeper.engine.as_ref().map(|engine| place.unit(engine).revision);
            if unit.map(|unit| &unit.revision) == revision.as_ref() { Run::AsSpecified } else { Run::Outdated }
        }
        Some(UnitState::CrashLoop) => Run::CrashLoop,
        _ => Run::Down,
    };
    let (wanted, in_set) = match who {
        Who::Wanted => (true, InSet::No),
        Who::Beside => (false, InSet::Yes),
    };
    let shows = certificate::shown_by(mongo, place).await?;
    // What he says, who is not believed, counts for nothing; the other members do not hear it either.
    let says = if shows == Shows::NotBelieved { Says::nothing() } else { says };
    let member = Member {
        number: place.number,
        port: place.port,
        wanted,
        run,
        state: says.state,
        in_set,
        has_data: holds_data(place)?,
        certificate: certificate::look(mongo, place)?,
        shows,
    };
    Ok((member, says))
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
        let client = mongo.admin_at(port)?;
        match config::read(&client).await {
            Ok(config) => return Ok((Known::Seats, config::seats(&config))),
            Err(fault) if fault.code() == Some(code::NOT_YET_INITIALIZED) && port == mongo.place.port => {
                return Ok((Known::NoSet, Vec::new()));
            }
            Err(fault) if state == State::Primary && is_refusal(&fault) => {
                observe::without_admin(mongo, port).await?;
                return Ok((Known::WithoutAdmin, Vec::new()));
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
