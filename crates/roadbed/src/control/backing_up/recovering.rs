//! The rest of a restore on an empty machine: what only a running environment can be given.

use backup::{ClusterTime, Naming, Repository, Scratch, put_back, rebuild};
use reconcile::Fault;

use super::desk::{Desk, rehearsal};
use super::record::Record;
use super::source::Source;
use super::watched;
use super::wire::Recovered;
use crate::control::Control;
use crate::recovery::{self, Restoring};

/// Puts MongoDB back as it was at the moment that was noted when the root was begun. Begun again it comes to the same.
pub(super) async fn recover(control: &Control, desk: &Desk, from: Source, key: String) -> Result<Recovered, Fault> {
    let Some(restoring) = recovery::begun(&control.root)? else {
        return Err(Fault::new(
            "nothing is left to be put back: this environment was not begun from a backup, or all is back",
        )
        .hint("`roadbed restore --in-place` puts an environment back that lives"));
    };
    let opening = tokio::task::spawn_blocking(move || {
        Repository::open_at(&from.destination()?, key.trim())?
            .ok_or_else(|| Fault::new(format!("there is no repository in {}", from.place)))
    });
    let repository = opening.await.unwrap_or_else(|error| Err(Fault::because("cannot open the repository", &error)))?;
    let Restoring { base, objects, releases, .. } = restoring.clone();
    let mut recovered = Recovered { base, objects, releases, mongodb: None, collections: Vec::new() };
    if let Some(until) = restoring.until {
        let database = desk.database().ok_or_else(|| {
            Fault::new("the backup has a MongoDB, and this environment has none")
                .hint("check out the manifest of that time: the backup has it as roadbed.toml")
        })?;
        let engines = desk.engines(control).await?;
        let mongod = engines.mongod.ok_or_else(|| Fault::new("there is no mongod to restore into"))?;
        let mut scratch = Scratch::new(&rehearsal(&control.root))?;
        let putting_back = async {
            let client = scratch.mongod(&mongod).await.map_err(|fault| scratch.why(fault))?;
            let rebuilt = rebuild(&repository, Some(until), ClusterTime::default(), &client).await;
            let (_, restored) = rebuilt.map_err(|fault| scratch.why(fault))?;
            let living = desk.restorer().await?;
            let from = (&client, restored.database.as_str());
            recovered.collections = put_back(from, (&living, &database), None, &Naming::InPlace).await?;
            Ok::<_, Fault>(restored)
        };
        recovered.mongodb = Some(watched(control, putting_back).await?);
        scratch.end().await?;
    }
    // Its oplog is another one, so the chain of changes begins with another base, which is taken now.
    Record::change(&control.root, |record| *record = Record { gap: true, ..Record::default() })?;
    *control.backing_up.chain.lock().await = None;
    recovery::end(&control.root)?;
    control.backing_up.base_is_due.notify_one();
    Ok(recovered)
}
