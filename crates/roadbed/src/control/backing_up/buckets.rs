//! Objects of a bucket, put back beside the living ones or in their place.

use std::sync::Arc;

use backup::{ObjectsWanted, Put, base_for, restore_objects};
use host::clock::Timestamp;
use manifest::Media;
use reconcile::Fault;

use super::desk::{Desk, snapshots};
use super::wire::ObjectsDone;
use super::{base, in_background};
use crate::control::Control;

/// Objects whose keys begin with what `named` says behind the bucket's name, as the newest backup has them that is not after `at`.
pub(super) async fn restore(
    control: &Control,
    desk: &Desk,
    (named, at): (&str, Option<Timestamp>),
    in_place: bool,
) -> Result<ObjectsDone, Fault> {
    let media = desk.lender.environment.media.as_ref();
    let media = media.ok_or_else(|| Fault::new("this environment has no object storage of its own"))?;
    let (bucket, prefix) = asked(media, named)?;
    let repository = desk.repository(control).await?;
    let (from, _) = base_for(&snapshots(&repository).await?, at)?;
    let (name, taken) = (from.name.clone(), from.taken);
    let reader = Arc::new(in_background(&repository, move |repository| repository.reader(&name)).await?);
    let read = reader.clone();
    let contents = in_background(&repository, move |_| read.contents()).await?;
    let of = contents.objects.ok_or_else(|| {
        Fault::new(format!("the backup {} has no objects", from.name))
            .hint("`roadbed backup show` lists what a backup has")
    })?;
    let store = desk.objects().await?.ok_or_else(|| Fault::new("object storage has not been brought up yet"))?;
    let wanted = |put| ObjectsWanted { bucket: bucket.clone(), prefix: prefix.clone(), put, now: control.clock.now() };
    if !in_place {
        let before = format!("restored-{}/", taken.to_string().replace([':', '.'], ""));
        let objects = restore_objects(&reader, &of, &store, wanted(Put::Beside { before })).await?;
        return Ok(ObjectsDone { base: from.name, taken, objects, before: None });
    }
    // What has rotted fails every backup, so it is mended before what is there now is backed up. And that only now, or it would be the
    // newest, and might end the one that is being read.
    let mended = restore_objects(&reader, &of, &store, wanted(Put::Mend)).await?;
    let before = base(control, desk).await?.snapshot.name;
    let mut objects = restore_objects(&reader, &of, &store, wanted(Put::InPlace)).await?;
    objects.objects += mended.objects;
    objects.bytes += mended.bytes;
    objects.untouched = objects.untouched.saturating_sub(mended.objects);
    Ok(ObjectsDone { base: from.name, taken, objects, before: Some(before) })
}

/// `products/2026/` as a bucket's name in the storage and the beginning of keys.
fn asked(media: &Media, named: &str) -> Result<(String, String), Fault> {
    let (bucket, prefix) = named.split_once('/').unwrap_or((named, ""));
    let is_it = |one: &&manifest::Bucket| one.name.as_str() == bucket || one.full_name == bucket;
    let found = media.buckets.iter().find(is_it).ok_or_else(|| {
        let names: Vec<&str> = media.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
        Fault::new(format!("the manifest declares no bucket {bucket:?}")).hint(format!(
            "it has {}: `roadbed restore --bucket {}`",
            names.join(", "),
            names.first().unwrap_or(&"NAME")
        ))
    })?;
    Ok((found.full_name.clone(), prefix.to_owned()))
}
