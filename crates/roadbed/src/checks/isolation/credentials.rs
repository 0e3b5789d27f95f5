//! Every credential of the data services, with every operation: at our own servers and at every other environment's.

use std::io;
use std::sync::Arc;

use futures_util::future::join_all;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Impact};
use host::network_namespace;
use reconcile::Fault;
use stores::checks::cells::{Borrowed, MongoCredentials, RedisCredentials, Told, Tried};
use stores::mongo::members::unit_of;
use stores::redis::Settings;

use super::loan::Loan;
use super::neighbour::{Neighbour, Up};
use super::{Cells, Here, Ours, unseen};
use crate::world::lending::Lender;

pub(crate) const CLAIM: Claim = Claim {
    task: "T3",
    id: "credentials-open-their-own-data-only",
    claim: "Each credential of the data services may do with its own environment's data what docs/infra/environments.md says, and \
            nothing with another's: every cell of that table is tried",
    hint: "the observations name the credential and what it could do; `roadbed up` sets users and rights again",
    impact: Impact::Observes,
};

/// Tries every cell of the table of who may do what to whose data.
#[derive(Debug)]
pub struct CredentialsOpenTheirOwn {
    pub here: Here,
    pub lender: Lender,
}

impl Check for CredentialsOpenTheirOwn {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async { self.look().await.map_or_else(|fault| unseen(&fault), Cells::outcome) })
    }
}

/// All that we have, in memory while it is tried.
struct Credentials {
    mongodb: Option<MongoCredentials>,
    redis: RedisCredentials,
}

impl CredentialsOpenTheirOwn {
    async fn look(&self) -> Result<Cells, Fault> {
        let ours = Ours::see(&self.here).await?;
        let mut cells = Cells::default();
        let loan = match Loan::take(&self.lender).await {
            Ok(loan) => Some(loan),
            Err(fault) => {
                cells.untried(format!("lent users: {fault}: {}", fault.causes.join(": ")));
                None
            }
        };
        let borrowed = loan.as_ref().map(Loan::borrowed).unwrap_or_default();
        let tried = self.try_all(&ours, &borrowed, &mut cells).await;
        // Whatever became of it: control sweeps what this cannot take away.
        if let Some(loan) = &loan
            && let Err(fault) = loan.give_back(&self.lender).await
        {
            cells.untried(format!("taking back lent users: {fault}: {}", fault.causes.join(": ")));
        }
        let answered = tried?;
        cells.about.clear();
        cells.good(format!("{answered} cells had an answer"));
        Ok(cells)
    }

    /// Returns how many cells had an answer.
    async fn try_all(&self, ours: &Ours<'_>, borrowed: &[Borrowed<'_>], cells: &mut Cells) -> Result<usize, Fault> {
        let ground = &self.lender.ground;
        let settings: Vec<Settings> = self.lender.redis.iter().map(|(settings, _)| settings.clone()).collect();
        // At somebody else's server none of ours but the apps has a login.
        let mongodb = self.lender.mongodb.as_ref().filter(|(_, provider)| provider.members().is_some());
        let credentials = Arc::new(Credentials {
            mongodb: mongodb.map(|(settings, _)| MongoCredentials::gather(ground, settings, borrowed)).transpose()?,
            redis: RedisCredentials::gather(ground, &settings, borrowed)?,
        });
        let neighbours: Vec<Arc<Neighbour>> = ours.neighbours(cells).await?.into_iter().map(Arc::new).collect();
        let at_home = self.at_home(&credentials);
        let abroad = join_all(neighbours.iter().map(|other| reach(&credentials, other)));
        let (at_home, abroad) = futures_util::join!(at_home, abroad);
        cells.about(ours.name.clone());
        let mut answered = judge(at_home, cells);
        for (neighbour, found) in neighbours.iter().zip(abroad) {
            cells.about(format!("{} → {}", ours.name, neighbour.name));
            match (&neighbour.fault, &neighbour.up) {
                (Some(fault), _) => cells.untried(format!("{fault}: {}", fault.causes.join(": "))),
                (None, None) => cells.good("it is down: none of its stores is open"),
                (None, Some(_)) => match found {
                    Ok(found) => answered += judge(found, cells),
                    Err(why) => cells.good(format!(
                        "it is in a network of its own, to which no address of ours leads, and which we may not enter ({why})"
                    )),
                },
            }
        }
        Ok(answered)
    }

    async fn at_home(&self, credentials: &Credentials) -> Vec<AtServer> {
        let ground = &self.lender.ground;
        let mongodb = async {
            // What somebody else's server lets whom do is looked at by the row of its users.
            let (settings, provider) = self.lender.mongodb.as_ref()?;
            let members = provider.members()?;
            let tried = credentials.mongodb.as_ref()?.try_own(ground, settings, members).await;
            Some(AtServer { server: unit_of(1), became: Became::of(tried) })
        };
        let redis = self.lender.redis.iter().map(|(settings, port)| async move {
            let tried = credentials.redis.try_own(ground, settings, *port).await;
            AtServer { server: settings.unit(), became: Became::of(tried) }
        });
        let (mongodb, redis) = futures_util::join!(mongodb, join_all(redis));
        mongodb.into_iter().chain(redis).collect()
    }
}

/// All credentials at all servers of another environment. Where these are in another network they are tried in there: a door that
/// nobody finds from here has not been tried. Who may not go there (an error) cannot reach anything there either.
async fn reach(credentials: &Arc<Credentials>, other: &Arc<Neighbour>) -> io::Result<Vec<AtServer>> {
    let Some(pid) = other.up.as_ref().and_then(Up::elsewhere) else { return Ok(credentials.at(other).await) };
    let (credentials, other) = (credentials.clone(), other.clone());
    let thread = network_namespace::work_in(pid, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut found = runtime.block_on(credentials.at(&other));
        for at in &mut found {
            at.server += " in its own network";
        }
        Ok(found)
    });
    let found = tokio::task::spawn_blocking(move || thread.join()).await.map_err(io::Error::other)?;
    found.map_err(|_| io::Error::other("the thread that tried panicked"))??
}

impl Credentials {
    /// At all servers of another environment that run.
    async fn at(&self, other: &Neighbour) -> Vec<AtServer> {
        let (Some(up), Some(theirs)) = (&other.up, &other.environment) else { return Vec::new() };
        let mongodb = theirs.mongodb.iter().zip(&self.mongodb).flat_map(|(settings, ours)| {
            (1..=settings.members).map(unit_of).map(move |unit| async move {
                let Some(port) = up.port_of(&unit) else { return AtServer { server: unit, became: Became::Down } };
                let tried = ours.try_other(port, &settings.database).await;
                AtServer { server: format!("{unit} on port {port}"), became: Became::Tried(tried) }
            })
        });
        let redis = theirs.redis.iter().flat_map(Settings::all).map(|settings| async move {
            let unit = settings.unit();
            let Some(port) = up.port_of(&unit) else { return AtServer { server: unit, became: Became::Down } };
            let tried = self.redis.try_other(&settings, port).await;
            AtServer { server: format!("{unit} on port {port}"), became: Became::of(tried) }
        });
        let (mongodb, redis) = futures_util::join!(join_all(mongodb), join_all(redis));
        mongodb.into_iter().chain(redis).collect()
    }
}

/// What became of all credentials at one server.
struct AtServer {
    server: String,
    became: Became,
}

enum Became {
    Tried(Vec<Tried>),
    Down,
    Failed(Fault),
}

impl Became {
    fn of(tried: Result<Vec<Tried>, Fault>) -> Self {
        tried.map_or_else(Self::Failed, Self::Tried)
    }
}

/// Returns how many cells had an answer.
fn judge(all: Vec<AtServer>, cells: &mut Cells) -> usize {
    let mut answered = 0;
    for AtServer { server, became } in all {
        match became {
            Became::Down => cells.good(format!("its {server} does not run")),
            Became::Failed(fault) => cells.untried(format!("{server}: {fault}: {}", fault.causes.join(": "))),
            Became::Tried(tried) => {
                answered += tried.iter().map(Tried::answered).sum::<usize>();
                for told in tried.iter().flat_map(Tried::told) {
                    match told {
                        Told::AsItShould(sentence) => cells.good(format!("{server} {sentence}")),
                        Told::NotAsItShould(sentence) => cells.bad(format!("{server} {sentence}")),
                        Told::Untried(sentence) => cells.untried(format!("{server} {sentence}")),
                    }
                }
            }
        }
    }
    answered
}
