//! Keys of object storage, tried for real: at our own storage, and at every other environment's.

use std::sync::Arc;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Impact};
use host::clock::Clock;
use manifest::{AppName, Media};
use reconcile::Fault;
use secrets::{Secret, Store};
use stores::objects::{Key, UNIT, app_secret};

use super::{Cells, Here, Ours, unseen};
use crate::object_requests::{Asked, Caller, root};

pub(crate) const CLAIM: Claim = Claim {
    task: "T5",
    id: "objects-open-to-their-own",
    claim: "An app's key of object storage opens the buckets that the manifest gives it, and no other key or environment opens any",
    hint: "the observations name the key and what it could do; `roadbed up` writes anew who is let in",
    impact: Impact::Observes,
};

/// Tries keys.
#[derive(Debug)]
pub struct ObjectsOpenToTheirOwn {
    pub here: Here,
    pub media: Media,
    pub clock: Arc<dyn Clock>,
    /// Where object storage listens on loopback.
    pub port: u16,
}

impl Check for ObjectsOpenToTheirOwn {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async { self.look().await.map_or_else(|fault| unseen(&fault), Cells::outcome) })
    }
}

impl ObjectsOpenToTheirOwn {
    async fn look(&self) -> Result<Cells, Fault> {
        let mut cells = Cells::default();
        let secrets = &self.here.secrets;
        let root = root(secrets)?;
        let mut all = Vec::new();
        for app in &self.media.apps {
            let Some(password) = password(secrets, app)? else {
                cells.untried(format!("{app} has no key of object storage yet"));
                continue;
            };
            let key = Key::of_password(&password, &root);
            let guessed = Key { id: key.id.clone(), secret: Secret::new("f".repeat(64)) };
            self.at_home(&mut cells, app, &key).await;
            self.refused(&mut cells, self.port, (&format!("the name of {app}'s key with another secret"), guessed))
                .await;
            all.push((app.clone(), key));
        }
        let other = Key::of_password(&Secret::new("somebody else".to_owned()), &root);
        self.refused(&mut cells, self.port, ("a key that follows from the root but is on no list", other)).await;
        let ours = Ours::see(&self.here).await?;
        for neighbour in ours.neighbours(&mut cells).await? {
            cells.about(format!("{} → {}", self.here.environment.reference(), neighbour.name));
            let Some(port) = neighbour.up.as_ref().and_then(|up| up.port_of(UNIT)) else {
                cells.good("it has no object storage that runs");
                continue;
            };
            for (app, key) in &all {
                let key = Key { id: key.id.clone(), secret: Secret::new(key.secret.expose().to_owned()) };
                self.refused(&mut cells, port, (&format!("our key of {app}"), key)).await;
            }
        }
        Ok(cells)
    }

    /// What the manifest gives it, and what it gives to nobody.
    async fn at_home(&self, cells: &mut Cells, app: &AppName, key: &Key) {
        for bucket in &self.media.buckets {
            let path = format!("/{}/roadbed-probe/{app}-{}", bucket.full_name, std::process::id());
            let writes = bucket.writers.contains(app);
            let put = if writes { 200 } else { 403 };
            let tries =
                [("PUT", put), ("GET", if writes { 200 } else { 404 }), ("DELETE", if writes { 204 } else { 403 })];
            for (method, must) in tries {
                let caller = Caller { port: self.port, key: signing(key), now: self.clock.now() };
                let body: &[u8] = if method == "PUT" { b"probe" } else { b"" };
                let sentence = format!("{method} in {} with the key of {app}", bucket.name);
                match caller.ask(&Asked { method, path: &path, body }).await {
                    Ok((status, _)) if status == must => cells.good(format!("{sentence}: {status}")),
                    Ok((status @ 500.., said)) => cells.untried(format!("{sentence}: {status} {said}")),
                    Ok((status, _)) => cells.bad(format!("{sentence}: {status} and not {must}")),
                    Err(error) => cells.untried(format!("{sentence}: object storage does not answer: {error}")),
                }
            }
        }
        let elsewhere = format!("/{}-elsewhere/roadbed-probe", self.here.environment.product);
        let caller = Caller { port: self.port, key: signing(key), now: self.clock.now() };
        match caller.ask(&Asked { method: "GET", path: &elsewhere, body: b"" }).await {
            Ok((403, _)) => cells.good(format!("a bucket that is nobody's with the key of {app}: 403")),
            Ok((status, _)) => {
                cells.bad(format!("a bucket that is nobody's with the key of {app}: {status} and not 403"))
            }
            Err(error) => cells.untried(format!("object storage does not answer: {error}")),
        }
    }

    async fn refused(&self, cells: &mut Cells, port: u16, (who, key): (&str, Key)) {
        let caller = Caller { port, key: signing(&key), now: self.clock.now() };
        match caller.ask(&Asked { method: "GET", path: "/", body: b"" }).await {
            Ok((403, _)) => cells.good(format!("{who}: refused")),
            Ok((status, _)) => cells.bad(format!("{who}: {status} and not refused")),
            // Our own that is away proves nothing; of others it is what is promised.
            Err(error) if port == self.port => {
                cells.untried(format!("{who}: object storage does not answer: {error}"));
            }
            Err(error) => cells.good(format!("{who}: no address of ours leads there ({error})")),
        }
    }
}

fn signing(key: &Key) -> sigv4::Key {
    sigv4::Key { id: key.id.clone(), secret: sigv4::Secret::new(key.secret.expose()) }
}

fn password(secrets: &Store, app: &AppName) -> Result<Option<Secret>, Fault> {
    let name = app_secret(app);
    let found = secrets.get(&name).map_err(|fault| Fault::because(format!("cannot read {name}"), &fault))?;
    Ok(found.map(|found| found.secret))
}
