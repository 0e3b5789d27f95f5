//! The same promises of a MongoDB that somebody else runs: what can be asked and tried there. What only its provider can change
//! is told as such.

use gate::{Findings, Outcome};
use mongodb::bson::{Document, doc};
use reconcile::Fault;

use super::mongo::{MongoGuardsItsDoor, judge_answer};
use super::mongo_rights::{MongoGivesLeastPrivilege, told};
use super::{Tried, must_be_refused};
use crate::external::{External, Met};
use crate::leases::book;
use crate::mongo::external::{elsewhere, explain, read, servers_met};
use crate::mongo::observe::asking;
use crate::mongo::roles::{documents, roles_of};
use crate::mongo::{Address, MongoFault, OwnUser, Provider, UserKey, command, handshake, is_refusal};

const ONLY_THE_PROVIDER: &str = "only its provider can change that";

impl MongoGuardsItsDoor {
    pub(super) async fn look_elsewhere(&self, external: &External) -> Outcome {
        let mut findings = Findings::default();
        if let Err(fault) = self.try_elsewhere(external, &mut findings).await {
            findings.bad(told(&fault));
        }
        findings.outcome()
    }

    async fn try_elsewhere(&self, external: &External, findings: &mut Findings) -> Result<(), Fault> {
        let ground = &self.ground;
        let place = elsewhere(ground, external).await?;
        if read(ground)?.is_encrypted {
            let mut are_believed = true;
            for (at, met) in servers_met(&place, external, ground).await? {
                are_believed &= matches!(met, Met::Believed);
                match met {
                    Met::Believed => findings.good(format!("the certificate of {at} is believed, and holds")),
                    Met::Nobody(why) => findings.bad(format!("nobody is at {at}: {why}")),
                    Met::Plain => findings.bad(format!("{at} speaks no TLS; {ONLY_THE_PROVIDER}")),
                    Met::NotBelieved(why) => findings.bad(format!("the certificate of {at} is not believed: {why}")),
                }
            }
            // Nothing is said to who is not believed.
            if !are_believed {
                return Ok(());
            }
            for (host, port) in place.servers() {
                let what = format!("a client in the clear said hello at {host}:{port}");
                match judge_answer(&handshake::hello_in_the_clear(&host, port).await) {
                    Tried::Allowed => findings.bad(format!("{what}: allowed; {ONLY_THE_PROVIDER}")),
                    tried => must_be_refused(findings, &what, tried),
                }
            }
        } else {
            findings.good("its address is on this machine: nothing is said over a network");
        }
        let provider = Provider::External(external.clone());
        let admin = provider.client(OwnUser::Monitor, ground).await?;
        match command(&admin, "admin", doc! { "serverStatus": 1 }).await {
            Err(fault) if is_refusal(&fault) => findings.good(format!(
                "how many connections are accepted its provider alone knows; {} may be wanted",
                self.settings.wanted_connections()
            )),
            status => self.judge_room(status.map_err(|fault| fault.to_string()), "", findings),
        }
        let address = Address::Elsewhere(Box::new(place));
        self.as_stranger(&address, "", findings).await;
        let all = [(address, String::new())];
        self.as_apps(&all, &all[0].0, findings).await;
        Ok(())
    }
}

impl MongoGivesLeastPrivilege {
    pub(super) async fn look_elsewhere(&self, provider: &Provider) -> Outcome {
        let mut findings = Findings::default();
        if let Err(fault) = self.compare_elsewhere(provider, &mut findings).await {
            findings.bad(format!("users and rights cannot be seen: {}", told(&fault)));
        }
        findings.outcome()
    }

    async fn compare_elsewhere(&self, provider: &Provider, findings: &mut Findings) -> Result<(), Fault> {
        let failed = |fault: MongoFault| explain(asking(&fault));
        let (database, admin) = (&self.settings.database, provider.client(OwnUser::Administrator, &self.ground).await?);
        let wanted = self.of_apps()?;
        let own = command(&admin, database, doc! { "usersInfo": 1 }).await.map_err(failed)?;
        // After the server's list: what is lent is in the book before its user is made.
        let lent: Vec<String> = book::read(&self.ground.root)?.into_iter().map(|lease| lease.id).collect();
        let is_known = |user: &UserKey| lent.contains(&user.name) || wanted.iter().any(|(key, _)| key == user);
        let strangers: Vec<String> = documents(&own, "users")
            .filter_map(UserKey::of)
            .filter(|user| !is_known(user))
            .map(|user| user.name)
            .collect();
        if strangers.is_empty() {
            let all = wanted.len() + lent.len();
            findings.good(format!("{database} has {all} users, all of which somebody needs"));
        } else {
            findings.bad(format!("nobody asked for {} of {database}", strangers.join(", ")));
        }
        self.users_of_others(&admin, findings).await?;
        self.compare_each(&admin, &wanted, findings).await
    }

    /// Users of other databases who have a role of ours: by it they are in our data. Those who may everything are the
    /// provider's.
    async fn users_of_others(&self, admin: &mongodb::Client, findings: &mut Findings) -> Result<(), Fault> {
        let database = &self.settings.database;
        let listed = match command(admin, "admin", doc! { "usersInfo": { "forAllDBs": true } }).await {
            Ok(listed) => listed,
            Err(fault) if is_refusal(&fault) => {
                findings.good(format!("who else may do something in {database} our administrator is not shown"));
                return Ok(());
            }
            Err(fault) => return Err(explain(asking(&fault))),
        };
        let status =
            command(admin, "admin", doc! { "connectionStatus": 1 }).await.map_err(|fault| explain(asking(&fault)))?;
        let info = status.get_document("authInfo").ok();
        let ours: Vec<UserKey> = info
            .map(|info| documents(info, "authenticatedUsers").filter_map(UserKey::of).collect())
            .unwrap_or_default();
        let is_in = |user: &&Document| {
            let is_our_login = UserKey::of(user).is_some_and(|user| ours.contains(&user));
            !is_our_login
                && user.get_str("db").ok() != Some(database)
                && roles_of(user).iter().any(|(_, of)| of == database)
        };
        let others: Vec<String> = documents(&listed, "users")
            .filter(is_in)
            .filter_map(UserKey::of)
            .map(|user| format!("{} of {}", user.name, user.database))
            .collect();
        if others.is_empty() {
            findings.good(format!("nobody of another database has a role in {database}"));
        } else {
            findings.bad(format!("of other databases, {} have a role in {database}", others.join(", ")));
        }
        Ok(())
    }
}
