//! Keys of Redis, put back beside the living ones or in their place.

use std::sync::Arc;

use backup::{Scratch, base_for, put_back_keys};
use host::clock::Timestamp;
use reconcile::Fault;
use secrets::generate;
use stores::redis::{Purpose, Restorer};

use super::desk::{Desk, rehearsal, snapshots};
use super::wire::KeysDone;
use super::{base, in_background};
use crate::control::Control;

/// So much of a credential makes a name that nobody guesses.
const RANDOM_DIGITS: usize = 12;

/// A scratch server reads the log of the newest backup that is not after `at`; keys that begin with `prefix` go from there to the
/// living one, under names of their own unless `in_place`.
pub(super) async fn restore(
    control: &Control,
    desk: &Desk,
    (prefix, at): (&str, Option<Timestamp>),
    in_place: bool,
) -> Result<KeysDone, Fault> {
    let port = desk.lender.redis_port(Purpose::Durable)?;
    let of_primary = desk.lender.redis.iter().zip(&desk.lender.redis_users).find(|((_, own), _)| Some(*own) == port);
    let Some(((settings, _), living)) = of_primary else {
        return Err(Fault::new("this environment has no Redis of its own that keeps what it has"));
    };
    let own = settings.key_prefix.as_str();
    if !prefix.starts_with(own) {
        return Err(Fault::new(format!("{prefix:?} is no beginning of keys of this environment"))
            .hint(format!("they begin with {own:?}: `roadbed restore --redis {own}`")));
    }
    let repository = desk.repository(control).await?;
    let (from, _) = base_for(&snapshots(&repository).await?, at)?;
    let (name, taken) = (from.name.clone(), from.taken);
    let reader = Arc::new(in_background(&repository, move |repository| repository.reader(&name)).await?);
    let read = reader.clone();
    let contents = in_background(&repository, move |_| read.contents()).await?;
    let of = contents.redis.first().ok_or_else(|| Fault::new(format!("the backup {} has no Redis", from.name)))?;
    let program = desk.engines(control).await?.redis;
    let program = program.ok_or_else(|| Fault::new("there is no redis-server to restore into"))?;
    let mut scratch = Scratch::new(&rehearsal(&control.root))?;
    let mut saved = backup::start(&reader, of, &program, &mut scratch).await?;
    // Only now, or it would be the newest, and might end the one that is being read.
    let before = if in_place { Some(base(control, desk).await?.snapshot.name) } else { None };
    let to = if in_place {
        prefix.to_owned()
    } else {
        let time = taken.to_string().replace([':', '.'], "");
        format!("{own}restored-{time}:{}", &prefix[own.len()..])
    };
    let credential = || generate::credential().map_err(|error| Fault::because("cannot put keys back", &error));
    let (password, random) = (credential()?, credential()?);
    let (restorer, mut connection) = Restorer::enter(living, &to, &random.expose()[..RANDOM_DIGITS], &password).await?;
    let done = put_back_keys(&mut saved, &mut connection, &of.unit, (prefix, &to)).await;
    drop(connection);
    let left = restorer.leave().await;
    scratch.end().await?;
    let keys = done?;
    left?;
    Ok(KeysDone { base: from.name, taken, keys, before })
}
