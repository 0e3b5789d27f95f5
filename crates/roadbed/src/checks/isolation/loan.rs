//! Users that are lent to the gate itself while it tries what lent users may.
//!
//! They are in the book before they are made, as every lease is: should control die in between, the next one finds that their
//! holder is gone and takes them away. They are in no audit log: nobody but control ever has their passwords.

use std::time::Duration;

use host::process::{Identity, table};
use manifest::AppName;
use reconcile::Fault;
use secrets::generate;
use stores::checks::cells::Borrowed;
use stores::leases::{self, Holder, InRedis, Lease, Rights, State, book};

use crate::world::lending::{Lender, Passwords};

/// Longer than a check may take.
const LASTS: Duration = Duration::from_secs(60);

/// As others who borrow have: what nobody guesses.
const RANDOM_DIGITS: usize = 12;

/// In whose name.
const BORROWER: &str = "gate";

/// One user with an app's rights, and one that reads.
pub(in crate::checks) struct Loan {
    leases: Vec<Lease>,
    passwords: Passwords,
}

impl Loan {
    /// Notes the leases of the first app and makes their users.
    pub(super) async fn take(lender: &Lender) -> Result<Self, Fault> {
        let first = lender.environment.apps.first().map(|app| app.name.clone());
        Self::made(lender, Self::drawn_up(lender, first, &[Rights::OfApp, Rights::ReadOnly])?).await
    }

    /// The same for one app, with its rights alone.
    pub(in crate::checks) async fn take_as(lender: &Lender, app: AppName) -> Result<Self, Fault> {
        Self::made(lender, Self::drawn_up(lender, Some(app), &[Rights::OfApp])?).await
    }

    /// The lease that was taken first, with its passwords.
    pub(in crate::checks) fn first(&self) -> Option<(&Lease, &Passwords)> {
        Some((self.leases.first()?, &self.passwords))
    }

    async fn made(lender: &Lender, loan: Self) -> Result<Self, Fault> {
        for lease in &loan.leases {
            book::note(&lender.ground.root, lease.clone())?;
        }
        for lease in &loan.leases {
            if let Err(fault) = lender.make_users(lease, &loan.passwords).await {
                // Where this fails too, control goes on with it: nothing is lent for longer than it lasts.
                let _ = loan.give_back(lender).await;
                return Err(fault);
            }
        }
        Ok(loan)
    }

    fn drawn_up(lender: &Lender, app: Option<AppName>, all: &[Rights]) -> Result<Self, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot lend anything", error);
        let credential = || generate::credential().map_err(|error| cannot(&error));
        let passwords = Passwords { mongodb: credential()?, redis: credential()? };
        let pid = host::own::pid();
        let process = table::entry(pid).ok_or_else(|| Fault::new("cannot lend anything: this process is not seen"))?;
        let holder = Holder {
            name: BORROWER.to_owned(),
            uid: host::own::user(),
            process: Identity { pid, start_time: process.start_time },
            boot_id: table::boot_id().map_err(|fault| cannot(&fault))?,
        };
        let Some(app) = app else {
            return Ok(Self { leases: Vec::new(), passwords });
        };
        let now = lender.ground.clock.moment();
        let mut leases = Vec::new();
        for rights in all.iter().copied() {
            let mut lease = Lease {
                id: leases::name(BORROWER, &credential()?.expose()[..RANDOM_DIGITS]),
                app: app.clone(),
                rights,
                holder: holder.clone(),
                since: now.wall,
                until: now.wall,
                renewed: None,
                lasts: LASTS,
                state: State::Live,
                reason: None,
                mongodb: lender.mongodb.as_ref().map(|(settings, _)| settings.database.clone()),
                redis: lender.redis.first().map(|(settings, _)| InRedis::new(&passwords.redis, &settings.key_prefix)),
                loaded: [].into(),
            };
            lease.renew(now.clone());
            leases.push(lease);
        }
        Ok(Self { leases, passwords })
    }

    /// For those who try them.
    pub(super) fn borrowed(&self) -> Vec<Borrowed<'_>> {
        let borrowed = |lease| Self::of(lease, &self.passwords);
        self.leases.iter().map(borrowed).collect()
    }

    fn of<'a>(lease: &'a Lease, passwords: &'a Passwords) -> Borrowed<'a> {
        Borrowed { rights: lease.rights, name: &lease.id, in_mongodb: &passwords.mongodb, in_redis: &passwords.redis }
    }

    /// Takes the users away and strikes the leases.
    pub(in crate::checks) async fn give_back(&self, lender: &Lender) -> Result<(), Fault> {
        for lease in &self.leases {
            // Gone already: whoever sweeps was first.
            let Some(lease) = book::end(&lender.ground.root, &lease.id)? else { continue };
            lender.take_users_away(&lease).await?;
            book::strike(&lender.ground.root, &lease.id)?;
        }
        Ok(())
    }
}
