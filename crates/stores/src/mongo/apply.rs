//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use std::time::Duration;

use futures_util::future::try_join_all;
use host::files::{self, Access};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::certificate;
use super::client::{self, Identity, MongoFault, code, command, command_within, connect};
use super::observe::{ReplicaSet, asking, member, replica_set};
use super::own_users::OwnUser;
use super::place::Place;
use super::plan::Step;
use super::roles;
use super::whose::{as_system, guard};
use super::{Mongo, REPLICA_SET, UNIT, app_secret, app_users, configuration, key_secret, members, version};
use crate::engines::Located;
use crate::engines::find::Found;
use crate::ground::{file_fault, secret_fault};
use crate::start::{Look, Start, accepts};

/// mongod asks the address in its configuration whether that is itself, and gives a silent stranger there 30 seconds.
const MEMBERSHIP_DEADLINE: Duration = Duration::from_secs(60);
/// An election among one takes half a second.
const ELECTION_DEADLINE: Duration = Duration::from_secs(30);
/// How long the server keeps an answer back in which nothing is new.
const AWAITED_MILLIS: i64 = 1000;

pub(crate) async fn perform(mongo: &Mongo, step: &Step) -> Result<(), Fault> {
    match step {
        Step::WriteFiles => write_files(mongo),
        Step::CreateAdmin => create_admin(mongo, mongo.place.port).await,
        Step::NoteGuarded => note_guarded(mongo),
        Step::Start => start(mongo).await,
        Step::InitiateReplicaSet => initiate(mongo).await,
        Step::MoveReplicaSet => relocate(mongo).await,
        Step::RenewCertificate => mongo.places().try_for_each(|place| certificate::renew(mongo, place)),
        Step::LoadCertificate => load_certificate(mongo, mongo.place.port).await,
        Step::Restart => restart(mongo).await,
        Step::ReplaceAdmin => replace_admin(mongo).await,
        Step::PutOwnUsers(users) => put_own_users(mongo, users.iter().map(|(user, _)| *user)).await,
        Step::PutRole => done(roles::app_role(&mongo.place.settings).put(&mongo.admin().await?).await),
        Step::PutUser { app, slot, .. } => {
            app_users::put(&mongo.admin().await?, &mongo.ground, &mongo.place.settings, app, *slot).await
        }
        Step::RemoveUser(user) => app_users::remove(&mongo.admin().await?, user).await,
        Step::RemoveRole(role) => app_users::remove_role(&mongo.admin().await?, role).await,
        Step::RetireUser(user) => app_users::retire(&mongo.admin().await?, &mongo.ground, user).await,
        Step::Member(step) => members::perform(mongo, step).await,
        Step::ForgetPassword(name) => mongo.ground.secrets.remove(name).map_err(|fault| secret_fault(&fault)),
    }
}

fn write_files(mongo: &Mongo) -> Result<(), Fault> {
    // The authority and passwords first: data must never exist without them.
    mongo.ground.make_authority()?;
    mongo.ground.make_secret(&key_secret())?;
    for app in &mongo.place.settings.apps {
        mongo.ground.make_secret(&app_secret(app))?;
    }
    mongo.places().try_for_each(|place| write_member_files(mongo, place))
}

/// The files of one member: also of one that is to leave, which may have to start once more for that.
pub(crate) fn write_member_files(mongo: &Mongo, place: &Place) -> Result<(), Fault> {
    let fault = |fault| file_fault(&place.name, &fault);
    let key = mongo.ground.make_secret(&key_secret())?;
    for folder in place.folders() {
        files::create_dir(&folder, Access::Owner).map_err(fault)?;
    }
    files::write_if_changed(&place.key_file(), key.secret.expose().as_bytes(), Access::OwnerReadOnly).map_err(fault)?;
    let text = configuration::render(place);
    files::write_if_changed(&place.configuration_file(), text.as_bytes(), Access::Owner).map_err(fault)?;
    certificate::renew(mongo, place)
}

pub(crate) async fn engine(mongo: &Mongo) -> Result<Located, Fault> {
    match mongo.engine.find().await? {
        Found::Here(located) => Ok(located),
        Found::Absent { .. } => {
            Err(Fault::new("cannot start mongodb: its engine has not been fetched yet").retry_safe())
        }
    }
}

pub(crate) fn starting<'m>(mongo: &'m Mongo, place: &Place) -> Start<'m> {
    let (name, data) = (&place.name, place.data.display());
    Start {
        ground: &mongo.ground,
        port: place.port,
        explain: explain_log,
        hint: format!(
            "see `roadbed logs {name}`; if {data} is damaged, restore a backup or move it away to begin empty: \
             Roadbed does not touch it"
        ),
    }
}

/// Our administrator, by the one who is there before anybody else. It may take the place of one that a Roadbed before this one
/// made, and that is a stranger from then on.
async fn create_admin(mongo: &Mongo, port: u16) -> Result<(), Fault> {
    let address = mongo.address_of(port)?;
    let system = as_system(mongo, &address)?;
    // Nobody else's data gets an administrator of ours.
    guard(mongo, &address, &system).await?;
    mongo.forget_admin();
    done(OwnUser::Administrator.put(&system, &mongo.ground, &mongo.place.settings).await)
}

async fn replace_admin(mongo: &Mongo) -> Result<(), Fault> {
    let primary = mongo.members.elected(&mongo.ground).await?;
    create_admin(mongo, primary).await
}

async fn put_own_users(mongo: &Mongo, users: impl Iterator<Item = OwnUser>) -> Result<(), Fault> {
    let client = mongo.admin().await?;
    done(try_join_all(users.map(|user| user.put(&client, &mongo.ground, &mongo.place.settings))).await)
}

pub(crate) async fn load_certificate(mongo: &Mongo, port: u16) -> Result<(), Fault> {
    let loaded = command(&mongo.admin_at(port)?, "admin", doc! { "rotateCertificates": 1 }).await;
    // It may believe others now, and so may we.
    mongo.forget_admin();
    done(loaded)
}

/// For a certificate that opens no connection on which the server could be told to load another.
async fn restart(mongo: &Mongo) -> Result<(), Fault> {
    mongo.ground.units.restart(UNIT).await?;
    start(mongo).await
}

fn note_guarded(mongo: &Mongo) -> Result<(), Fault> {
    let text = "The administrator of this MongoDB exists. Without this file Roadbed looks whether it does.\n";
    files::write_durable(&mongo.place.guarded_mark(), text.as_bytes(), Access::Owner)
        .map_err(|fault| file_fault(UNIT, &fault))
}

async fn start(mongo: &Mongo) -> Result<(), Fault> {
    let port = mongo.place.port;
    let engine = engine(mongo).await?;
    version::refuse_newer(&mongo.place, engine.version)?;
    let spec = mongo.place.unit(&engine);
    mongo.forget_admin();
    let mut stranger: Option<Client> = None;
    let client = |known: &mut Option<Client>| -> Result<Client, Fault> {
        if let Some(client) = known {
            return Ok(client.clone());
        }
        let fresh = connect(&mongo.address_of(port)?, Identity::Stranger).map_err(|fault| asking(&fault))?;
        *known = Some(fresh.clone());
        Ok(fresh)
    };
    let ready = || {
        let client = client(&mut stranger);
        async move {
            // The driver waits half a second after a refused connection: ask it only when there is somebody.
            if !accepts(port).await {
                return Ok(Look::NotYet);
            }
            Ok(match client::hello(&client?).await {
                Ok(answer) if is_settled(&answer) => Look::Ready,
                _ => Look::NotYet,
            })
        }
    };
    starting(mongo, &mongo.place).run(spec, ready).await?;
    version::note(&mongo.place, engine.version)
}

/// Ready to be asked: primary, waiting for us to initiate or move the replica set, or one of a set that is to become smaller.
fn is_settled(hello: &Document) -> bool {
    let several = hello.get_array("hosts").is_ok_and(|hosts| hosts.len() > 1);
    let is = |key: &str| hello.get_bool(key).unwrap_or(false);
    is("isWritablePrimary") || is("isreplicaset") || (several && is("secondary"))
}

async fn initiate(mongo: &Mongo) -> Result<(), Fault> {
    // Nobody else is there yet.
    let client = as_system(mongo, &mongo.address_of(mongo.place.port)?)?;
    let config = doc! { "_id": REPLICA_SET, "members": [{ "_id": 0, "host": member(mongo.place.port) }] };
    let ask = || command_within(MEMBERSHIP_DEADLINE, &client, "admin", doc! { "replSetInitiate": config.clone() });
    let answer = match ask().await {
        // A mongod that leaves a replica set closes every connection, ours too.
        Err(fault) if fault.code().is_none() => ask().await,
        answer => answer,
    };
    match answer {
        Ok(_) => until_primary(mongo, &client).await,
        // It was still reading its configuration when we looked. The member may have another port in there.
        Err(fault) if fault.code() == Some(code::ALREADY_INITIALIZED) => {
            match replica_set(&client, mongo.place.port).await {
                Ok(ReplicaSet::Elsewhere) => relocate(mongo).await,
                Ok(_) => until_primary(mongo, &client).await,
                Err(fault) => Err(asking(&fault)),
            }
        }
        Err(fault) => Err(asking(&fault)),
    }
}

/// The port is part of the replica set's configuration. Forced, because no primary can agree under the old address.
async fn relocate(mongo: &Mongo) -> Result<(), Fault> {
    // Whom its users let in is seen once it has found itself in the set.
    let client = as_system(mongo, &mongo.address_of(mongo.place.port)?)?;
    let answer = command(&client, "admin", doc! { "replSetGetConfig": 1 }).await.map_err(|fault| asking(&fault))?;
    let mut config = answer.get_document("config").cloned().unwrap_or_default();
    let version = config.get_i32("version").unwrap_or(1) + 1;
    config.insert("version", version);
    config.insert("members", vec![doc! { "_id": 0, "host": member(mongo.place.port) }]);
    let reconfigure = doc! { "replSetReconfig": config, "force": true };
    command_within(MEMBERSHIP_DEADLINE, &client, "admin", reconfigure).await.map_err(|fault| asking(&fault))?;
    until_primary(mongo, &client).await
}

/// The server answers when something has changed.
async fn until_primary(mongo: &Mongo, client: &Client) -> Result<(), Fault> {
    let give_up = mongo.ground.clock.instant() + ELECTION_DEADLINE;
    let mut ask = doc! { "hello": 1 };
    loop {
        let answer = command(client, "admin", ask.clone()).await;
        match answer {
            Ok(answer) if answer.get_bool("isWritablePrimary").unwrap_or(false) => return Ok(()),
            Ok(answer) if mongo.ground.clock.instant() < give_up => {
                if let Ok(version) = answer.get_document("topologyVersion") {
                    ask = doc! { "hello": 1, "topologyVersion": version.clone(), "maxAwaitTimeMS": AWAITED_MILLIS };
                }
            }
            // One that becomes a member closes its connections.
            Err(_) if mongo.ground.clock.instant() < give_up => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(_) => {
                return Err(Fault::new("mongodb does not become writable")
                    .hint("see `roadbed logs mongodb`")
                    .retry_safe());
            }
            Err(fault) => return Err(asking(&fault)),
        }
    }
}

fn done<T>(answer: Result<T, MongoFault>) -> Result<(), Fault> {
    answer.map(|_| ()).map_err(|fault| asking(&fault))
}

/// mongod writes JSON. A person wants the sentence and the reason, of what is worse than a remark; or, if nothing is, the end.
fn explain_log(lines: &[String]) -> Vec<String> {
    let told: Vec<(bool, String)> = lines.iter().map(|line| explain_line(line)).collect();
    let grave: Vec<String> = told.iter().filter(|(grave, _)| *grave).map(|(_, line)| line.clone()).collect();
    let chosen = if grave.is_empty() { told.into_iter().map(|(_, line)| line).collect() } else { grave };
    let skip = chosen.len().saturating_sub(15);
    chosen.into_iter().skip(skip).collect()
}

fn explain_line(line: &str) -> (bool, String) {
    let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { return (true, line.to_owned()) };
    let grave = matches!(entry["s"].as_str(), Some("F" | "E"));
    let message = entry["msg"].as_str().unwrap_or(line);
    let reason = ["error", "reason", "errmsg", "message"].iter().find_map(|&key| match &entry["attr"][key] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Object(object) => {
            object.get("errmsg").or(object.get("msg")).and_then(|text| text.as_str()).map(str::to_owned)
        }
        _ => None,
    });
    (grave, reason.map_or_else(|| message.to_owned(), |reason| format!("{message}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_death_is_taken_out_of_the_log() {
        let lines = [
            r#"{"s":"I","msg":"Waiting for connections","attr":{"port":1}}"#,
            r#"{"s":"E","msg":"Failed to set up listener","attr":{"error":{"code":9001,"errmsg":"Address already in use"}}}"#,
            r#"{"s":"I","msg":"Shutting down"}"#,
        ]
        .map(str::to_owned);
        assert_eq!(explain_log(&lines), ["Failed to set up listener: Address already in use"]);
        assert_eq!(explain_log(&lines[2..]), ["Shutting down"]);
        assert_eq!(explain_log(&["not json".to_owned()]), ["not json"]);
    }
}
