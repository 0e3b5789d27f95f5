//! From a set as it was seen to what is to be done. Pure.

use std::fmt;

use super::ask::State;
use super::observe::{InSet, Known, Member, Run, Set};
use super::unit_of;
use crate::mongo::certificate::{Certificate, Shows};
use crate::mongo::plan::{Step as Whole, put_right};

/// One effect on a member or on the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// With its port: it may be one that is no longer wanted.
    Start {
        number: u32,
        port: u16,
    },
    /// It runs, and nobody believes its certificate.
    StartAnew {
        number: u32,
        port: u16,
    },
    LoadCertificate {
        number: u32,
        port: u16,
    },
    AwaitPrimary,
    /// Every member has another port than the set knows.
    MoveAll,
    MoveMember {
        number: u32,
        port: u16,
    },
    Await {
        number: u32,
        port: u16,
    },
    Add {
        number: u32,
        port: u16,
    },
    Remove {
        number: u32,
        port: u16,
    },
    Restart {
        number: u32,
        port: u16,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { number, .. } => write!(f, "start {}", unit_of(*number)),
            Self::StartAnew { number, .. } => {
                write!(f, "start {} again with a certificate that is believed", unit_of(*number))
            }
            Self::LoadCertificate { number, .. } => {
                write!(f, "let {} load its certificate, with all connections kept", unit_of(*number))
            }
            Self::AwaitPrimary => f.write_str("wait until the members have elected a primary"),
            Self::MoveAll => f.write_str("move the replica set to the ports that its members have now"),
            Self::MoveMember { number, .. } => write!(f, "tell the replica set the new port of {}", unit_of(*number)),
            Self::Await { number, .. } => write!(f, "wait until {} has caught up", unit_of(*number)),
            Self::Add { number, .. } => write!(f, "let {} join the replica set and copy its data", unit_of(*number)),
            Self::Remove { number, .. } => write!(f, "take {} out of the replica set", unit_of(*number)),
            Self::Restart { number, .. } => {
                write!(f, "restart {} with its new configuration, while the others serve", unit_of(*number))
            }
        }
    }
}

pub(crate) fn plan(set: &Set) -> Vec<Whole> {
    let mut steps = Vec::new();
    if !set.noted {
        // Some member has data, so there is an administrator; the note of it was lost with its folder.
        steps.push(Whole::NoteGuarded);
    }
    if set.config == Known::WithoutAdmin {
        steps.push(Whole::ReplaceAdmin);
        return steps;
    }
    let Some(users) = set.primary().and(set.users.as_ref()) else {
        steps.extend(without_primary(set));
        return steps;
    };
    steps.extend(heal(set).into_iter().map(Whole::Member));
    steps.extend(put_right(users));
    steps
}

fn without_primary(set: &Set) -> Vec<Whole> {
    let is_needed = |member: &&Member| member.wanted || member.in_set != InSet::No;
    let down = set.members.iter().filter(is_needed).filter(|member| member.state == State::Silent);
    let mut steps: Vec<Whole> = down.map(|member| Whole::Member(start(member))).collect();
    if !steps.is_empty() {
        return steps;
    }
    let is_nowhere = |member: &Member| member.in_set != InSet::Yes;
    match set.config {
        Known::NoSet => steps.push(Whole::InitiateReplicaSet),
        Known::Seats if set.members.iter().all(is_nowhere) => steps.push(Whole::Member(Step::MoveAll)),
        Known::Seats | Known::Nothing | Known::WithoutAdmin => steps.push(Whole::Member(Step::AwaitPrimary)),
    }
    steps
}

fn start(member: &Member) -> Step {
    let Member { number, port, .. } = *member;
    // Another specification replaces the process anyway.
    if member.shows == Shows::NotBelieved && member.run == Run::AsSpecified {
        Step::StartAnew { number, port }
    } else {
        Step::Start { number, port }
    }
}

/// What is to be done while there is a primary: first what is down, then who is in the set, then what runs as it was before.
fn heal(set: &Set) -> Vec<Step> {
    let mut steps = Vec::new();
    for member in set.members.iter().filter(|member| member.wanted && !is_broken(member)) {
        let Member { number, port, .. } = *member;
        if member.state == State::Silent {
            steps.push(start(member));
        }
        match (member.in_set, member.state) {
            (InSet::No, _) => steps.push(Step::Add { number, port }),
            (InSet::AtOldPort, _) => steps.push(Step::MoveMember { number, port }),
            // One that is started waits for itself.
            (InSet::Yes, State::Joining | State::Outside) => steps.push(Step::Await { number, port }),
            (InSet::Yes, State::Silent | State::Secondary | State::Primary) => {}
        }
    }
    let leaving = primary_last(set.members.iter().filter(|member| !member.wanted));
    steps.extend(leaving.map(|member| Step::Remove { number: member.number, port: member.port }));
    let spares_one = can_spare_one(set);
    // One that is restarted reads its certificate anew by that.
    let stays = |member: &&Member| !(spares_one && member.run == Run::Outdated);
    let healthy = set.members.iter().filter(|member| member.wanted && member.state.is_healthy());
    let is_stale = |member: &&Member| member.certificate != Certificate::Right || member.shows == Shows::Another;
    steps.extend(
        healthy
            .filter(stays)
            .filter(is_stale)
            .map(|member| Step::LoadCertificate { number: member.number, port: member.port }),
    );
    if spares_one {
        let outdated = set.members.iter().filter(|member| member.wanted && member.run == Run::Outdated);
        let restart = |member: &Member| Step::Restart { number: member.number, port: member.port };
        steps.extend(primary_last(outdated.filter(|member| member.state.is_healthy())).map(restart));
    }
    steps
}

fn primary_last<'a>(members: impl Iterator<Item = &'a Member>) -> impl Iterator<Item = &'a Member> {
    let mut members: Vec<&Member> = members.collect();
    members.sort_by_key(|member| member.state == State::Primary);
    members.into_iter()
}

/// It does not stay up on the data that it has. The others serve, and what is to become of that data is not ours to say.
fn is_broken(member: &Member) -> bool {
    member.run == Run::CrashLoop && member.has_data && member.state == State::Silent
}

/// Whether a majority is left while one more member is away, of those that are meant to be up.
fn can_spare_one(set: &Set) -> bool {
    let in_set = set.members.iter().filter(|member| member.in_set == InSet::Yes && member.wanted);
    let broken = in_set.clone().filter(|member| is_broken(member)).count();
    let all = in_set.count();
    all - broken > all / 2 + 1 || all == 1
}

/// What is told and left alone.
pub(crate) fn drift(set: &Set, folder_of: impl Fn(u32) -> String) -> Vec<String> {
    if set.primary().is_none() {
        return Vec::new();
    }
    let wanted = || set.members.iter().filter(|member| member.wanted);
    let broken = wanted().filter(|member| is_broken(member)).map(|member| {
        let (unit, folder) = (member.unit(), folder_of(member.number));
        format!(
            "{unit} does not stay up, and the other members serve: `roadbed logs {unit}` says why; if its data is damaged, \
             move {folder} away and run `roadbed up`, and it copies theirs"
        )
    });
    let mut told: Vec<String> = broken.collect();
    if !can_spare_one(set) && wanted().any(|member| member.run == Run::Outdated) {
        told.push("members run with their old configuration: restarting one would leave no majority".to_owned());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::Users;

    fn member(number: u32, state: State) -> Member {
        Member {
            number,
            port: 20_000 + u16::try_from(number).unwrap(),
            wanted: true,
            run: if state == State::Silent { Run::Down } else { Run::AsSpecified },
            state,
            in_set: InSet::Yes,
            has_data: true,
            certificate: Certificate::Right,
            shows: if state == State::Silent { Shows::Nothing } else { Shows::ItsFile },
        }
    }

    fn set(members: Vec<Member>) -> Set {
        Set { members, config: Known::Seats, users: Some(Users::default()), noted: true }
    }

    fn settled() -> Set {
        set(vec![member(1, State::Secondary), member(2, State::Primary), member(3, State::Secondary)])
    }

    fn told(set: &Set) -> Vec<String> {
        plan(set).iter().map(ToString::to_string).collect()
    }

    fn notes(set: &Set) -> Vec<String> {
        drift(set, |number| format!("data/{}", unit_of(number)))
    }

    #[test]
    fn a_settled_set_needs_nothing() {
        assert_eq!(told(&settled()), [""; 0]);
        assert_eq!(notes(&settled()), [""; 0]);
    }

    #[test]
    fn members_join_one_after_the_other() {
        let mut grows = settled();
        grows.members[0].state = State::Primary;
        for member in &mut grows.members[1..] {
            (member.in_set, member.state, member.run) = (InSet::No, State::Silent, Run::Down);
        }
        assert_eq!(
            told(&grows),
            [
                "start mongodb-2",
                "let mongodb-2 join the replica set and copy its data",
                "start mongodb-3",
                "let mongodb-3 join the replica set and copy its data",
            ]
        );
    }

    #[test]
    fn whoever_is_primary_leaves_last() {
        let mut shrinks = settled();
        shrinks.members[1].wanted = false;
        shrinks.members[2].wanted = false;
        assert_eq!(told(&shrinks), ["take mongodb-3 out of the replica set", "take mongodb-2 out of the replica set"]);
    }

    #[test]
    fn whoever_is_primary_is_restarted_last() {
        let mut outdated = settled();
        outdated.members.iter_mut().for_each(|member| member.run = Run::Outdated);
        let units: Vec<String> =
            told(&outdated).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(units, ["mongodb", "mongodb-3", "mongodb-2"]);
    }

    #[test]
    fn certificates_are_loaded_without_a_restart_and_who_is_not_believed_starts_again() {
        let mut due = settled();
        due.members[0].certificate = Certificate::Due;
        due.members[1].shows = Shows::Another;
        let load = |unit: &str| format!("let {unit} load its certificate, with all connections kept");
        assert_eq!(told(&due), [load("mongodb"), load("mongodb-2")]);
        // Whoever is restarted anyway has loaded it by that.
        due.members[1].run = Run::Outdated;
        assert_eq!(
            told(&due),
            [load("mongodb"), "restart mongodb-2 with its new configuration, while the others serve".to_owned()]
        );
        let mut ran_out = settled();
        let disbelieved = Member {
            shows: Shows::NotBelieved,
            certificate: Certificate::Due,
            run: Run::AsSpecified,
            ..member(3, State::Silent)
        };
        ran_out.members[2] = disbelieved.clone();
        let anew = "start mongodb-3 again with a certificate that is believed";
        assert_eq!(told(&ran_out), [anew]);
        // Also where that leaves nobody who could be primary.
        ran_out.users = None;
        ran_out.members[1] = member(2, State::Secondary);
        assert_eq!(told(&ran_out), [anew]);
    }

    #[test]
    fn where_the_administrator_is_gone_it_is_made_before_anything_else() {
        let mut gone = Set { config: Known::WithoutAdmin, users: None, ..settled() };
        gone.members.iter_mut().for_each(|member| member.in_set = InSet::No);
        assert_eq!(told(&gone), ["create the administrator in place of the former one"]);
    }

    #[test]
    fn a_member_whose_data_is_damaged_is_told_and_stops_nothing() {
        let mut broken = settled();
        broken.members[2] = Member { run: Run::CrashLoop, ..member(3, State::Silent) };
        assert_eq!(told(&broken), [""; 0]);
        assert!(notes(&broken)[0].contains("move data/mongodb-3 away"), "{:?}", notes(&broken));
        // Nor may another one go now.
        broken.members[0].run = Run::Outdated;
        assert_eq!(told(&broken), [""; 0]);
        assert!(notes(&broken)[1].contains("would leave no majority"), "{:?}", notes(&broken));
        // Its data moved away, it is started again.
        broken.members[2].has_data = false;
        assert_eq!(told(&broken)[0], "start mongodb-3");
    }

    #[test]
    fn without_a_primary_whoever_is_down_is_started_and_nothing_is_changed() {
        let mut down = settled();
        down.users = None;
        down.members[1] = member(2, State::Silent);
        assert_eq!(told(&down), ["start mongodb-2"]);
        down.members[1] = member(2, State::Secondary);
        assert_eq!(told(&down), ["wait until the members have elected a primary"]);
        // Members that are to leave are needed for that, too.
        down.members[2] = Member { wanted: false, ..member(3, State::Silent) };
        assert_eq!(told(&down), ["start mongodb-3"]);
        for member in &mut down.members {
            (member.in_set, member.state) = (InSet::AtOldPort, State::Outside);
        }
        assert_eq!(told(&down), ["move the replica set to the ports that its members have now"]);
    }
}
