//! Backups, for people.

use std::time::Duration;

use backup::{DrillRecord, Kind, Snapshot};

use stores::mongo::sample::Replaced;

use super::span;
use crate::control::backing_up::wire::{
    Answer, Done, KeysDone, Listing, MaskedDone, Objectives, ObjectsDone, Progress, Recovered,
};

pub fn lines(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Taken { snapshot, left_out } => {
            let mut lines = vec![format!("saved {}", of(snapshot))];
            lines.extend(left_out.iter().map(|what| format!("LEFT OUT {what}")));
            lines
        }
        Answer::Progress { progress } => progress.iter().map(going).collect(),
        Answer::List(listing) => list(listing),
        Answer::Contents { contents } => {
            let mut lines = vec![format!("{} {}, taken at {}", contents.product, contents.environment, contents.taken)];
            if let Some(mongodb) = &contents.mongodb {
                lines.push(format!("MongoDB {}: {} at {}", mongodb.version, mongodb.database, mongodb.at));
                lines.extend(mongodb.collections.iter().map(|one| {
                    format!("  {}: {} documents, {}", one.name, one.digest.documents, size(one.digest.bytes))
                }));
            }
            lines.extend(
                contents.redis.iter().map(|redis| format!("Redis {}: {} keys that stay", redis.unit, redis.keys.0)),
            );
            for bucket in contents.objects.iter().flat_map(|objects| &objects.buckets) {
                let objects = bucket.digest.documents;
                lines.push(format!("bucket {}: {objects} objects, {}", bucket.name, size(bucket.bytes)));
            }
            for release in contents.releases.iter().flat_map(|releases| &releases.releases) {
                let role = if release.is_live { ", live" } else { "" };
                let apps: Vec<&str> = release.artifacts.keys().map(String::as_str).collect();
                lines.push(format!("release {}{role}: {}", release.name, apps.join(", ")));
                lines.extend(release.lacking.iter().map(|why| format!("  LEFT OUT {why}")));
            }
            if let Some(telemetry) = &contents.telemetry {
                let bytes = telemetry.files.iter().map(|file| file.bytes).sum();
                lines.push(format!("telemetry: {} files, {}", telemetry.files.len(), size(bytes)));
                lines.extend(telemetry.left_out.iter().map(|why| format!("  LEFT OUT {why}")));
            }
            lines.push(format!("{} files of the environment", contents.files.len()));
            lines
        }
        Answer::Verified { verification } if verification.damage.is_empty() => {
            vec!["the repository is whole: all of it was read".to_owned()]
        }
        Answer::Verified { verification } => {
            let mut lines = verification.damage.clone();
            lines.extend(verification.lost.iter().map(|(name, why)| format!("LOST {name}: {why}")));
            lines.extend(verification.readable.iter().map(|name| format!("can be read whole: {name}")));
            lines
        }
        Answer::Held { snapshot } if snapshot.held => vec![format!("{} is kept until it is released", snapshot.name)],
        Answer::Held { snapshot } => vec![format!("{} is kept as long as the manifest says", snapshot.name)],
        Answer::Pruned { gone } => vec![format!("{gone} snapshots are gone")],
        Answer::RecoveryKey { key } => vec![key.clone()],
        Answer::Adopted { repository, snapshots } => {
            vec![format!("{repository} is ours now, with {snapshots} snapshots")]
        }
        Answer::Drilled { record } => drill(record),
        Answer::Objectives(objectives) => self::objectives(objectives),
        Answer::Restored(done) => restored(done),
        Answer::RestoredKeys(done) => restored_keys(done),
        Answer::RestoredObjects(done) => restored_objects(done),
        Answer::RestoredMasked(done) => restored_masked(done),
        Answer::Recovered(recovered) => self::recovered(recovered),
    }
}

fn going(progress: &Progress) -> String {
    let Progress { bytes, expected, seconds, waits } = *progress;
    let waits = if waits { ", waits: MongoDB is busy" } else { "" };
    match expected {
        Some(expected) if bytes > 0 && bytes < expected => {
            let left = u128::from(seconds) * u128::from(expected - bytes) / u128::from(bytes);
            format!("{} of about {}, about {left} s left{waits}", size(bytes), size(expected))
        }
        _ => format!("{}{waits}", size(bytes)),
    }
}

fn of(snapshot: &Snapshot) -> String {
    let held = if snapshot.held { ", held" } else { "" };
    let moment = match snapshot.kind {
        Kind::Base { at: Some(at) } => format!(", MongoDB at {at}"),
        _ => String::new(),
    };
    format!("{}  {}{moment}{held}", snapshot.name, size(snapshot.bytes))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{} GiB", bytes / 1_073_741_824),
    }
}

fn time(duration: Duration) -> String {
    span::time(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn list(listing: &Listing) -> Vec<String> {
    let proven = listing.drill.as_ref().filter(|drill| drill.passed()).and_then(|drill| drill.base.as_deref());
    let line = |snapshot: &Snapshot| {
        let word = if proven == Some(snapshot.name.as_str()) { "restored in a rehearsal" } else { "unproven" };
        format!("{}  {word}", of(snapshot))
    };
    let mut lines: Vec<String> = listing.backups.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("there is no backup yet".to_owned());
    }
    lines.push(format!("repository: {}", listing.repository));
    match listing.covered {
        Some(covered) => lines.push(format!("changes: {} slices, all up to {covered}", listing.slices)),
        None => lines.push("changes: none is saved yet".to_owned()),
    }
    match &listing.drill {
        Some(drill) if drill.passed() => lines.push(format!("last rehearsal: passed at {}", drill.began)),
        Some(drill) => lines.push(format!("last rehearsal: FAILED at {}", drill.began)),
        None => lines.push("last rehearsal: none, so every backup is unproven".to_owned()),
    }
    for copy in &listing.copies {
        let word = if copy.append_only { ", takes nothing away" } else { "" };
        lines.push(match copy.complete {
            Some(time) => format!("copy {}: all of it at {time}, in {}{word}", copy.name, copy.repository),
            None => format!("copy {}: nothing is there yet, in {}{word}", copy.name, copy.repository),
        });
        lines.extend(copy.trouble.iter().map(|why| format!("  the last attempt failed: {why}")));
        if copy.refuses {
            lines.push("  it takes nothing away: what is over stays; say append_only = true".to_owned());
        }
    }
    lines.extend(listing.trouble.iter().map(|why| format!("the last attempt failed: {why}")));
    lines
}

fn objectives(objectives: &Objectives) -> Vec<String> {
    let Objectives { rpo, rto, unsaved, age, drill, .. } = objectives;
    let mut lines = Vec::new();
    let promised = |most: Duration| format!("promised: {}", time(most));
    lines.extend(age.map(|age| format!("everything was backed up {} ago", time(age))));
    lines.extend(unsaved.map(|unsaved| format!("RPO now: {}, {}", time(unsaved), promised(*rpo))));
    if let Some(drill) = drill {
        lines.extend(drill.lost.map(|lost| format!("RPO of the rehearsal of {}: {}", drill.began, time(lost))));
        lines.push(format!("RTO of the rehearsal of {}: {}, {}", drill.began, time(drill.took), promised(*rto)));
    }
    lines.extend(objectives.broken().iter().map(|what| format!("BROKEN {what}")));
    lines
}

fn drill(record: &DrillRecord) -> Vec<String> {
    let mut lines = vec![match (&record.base, record.passed()) {
        (Some(base), true) => format!("{base} can be restored"),
        (Some(base), false) => format!("{base} CANNOT be restored as it was"),
        (None, _) => "there is nothing to restore".to_owned(),
    }];
    lines.extend(record.bad.iter().map(|bad| format!("  wrong: {bad}")));
    lines.extend(record.good.iter().map(|good| format!("  {good}")));
    lines.push(format!("  restored and compared in {} (RTO)", time(record.took)));
    lines.extend(record.lost.map(|lost| format!("  changes of {} would have been lost (RPO)", time(lost))));
    lines
}

fn restored(done: &Done) -> Vec<String> {
    let restored = &done.restored;
    let mut lines = vec![format!("{} as it was at {}, from {}", restored.database, restored.at, restored.base)];
    lines.extend(done.collections.iter().map(|one| {
        let to = if one.from == one.to { String::new() } else { format!(" as {}", one.to) };
        format!("  {}{to}: {} documents", one.from, one.documents)
    }));
    lines.extend(done.before.iter().map(|before| format!("what was there before is in {before}")));
    lines
}

fn restored_keys(done: &KeysDone) -> Vec<String> {
    let keys = &done.keys;
    let to = if keys.from == keys.to { String::new() } else { format!(" as {}*", keys.to) };
    let mut lines =
        vec![format!("{}: {} keys {}*{to}, as they were at {}", keys.unit, keys.keys, keys.from, done.taken)];
    if keys.taken_away > 0 {
        lines.push(format!("  {} keys that came later are gone", keys.taken_away));
    }
    lines.extend(done.before.iter().map(|before| format!("what was there before is in {before}")));
    lines
}

fn restored_objects(done: &ObjectsDone) -> Vec<String> {
    let (objects, taken) = (&done.objects, done.taken);
    let to = if objects.from == objects.to { String::new() } else { format!(" as {}*", objects.to) };
    let mut lines = vec![
        format!(
            "{}: {} objects {}*{to}, {}, as they were at {taken}",
            objects.bucket,
            objects.objects,
            objects.from,
            size(objects.bytes)
        ),
        "  of objects there is no moment between two backups".to_owned(),
    ];
    if objects.untouched > 0 {
        lines.push(format!("  {} are there as they were saved", objects.untouched));
    }
    if objects.taken_away > 0 {
        let gone = objects.taken_away;
        lines.push(format!("  {gone} objects that came later are deleted, and kept as long as the bucket's undo says"));
    }
    lines.extend(done.before.iter().map(|before| format!("what was there before is in {before}")));
    lines
}

fn restored_masked(done: &MaskedDone) -> Vec<String> {
    let MaskedDone { restored, preview, collections, left_out, without_rules } = done;
    let mut lines = vec![format!(
        "{preview} has {} as it was at {}, masked, from {}",
        restored.database, restored.at, restored.base
    )];
    lines.extend(collections.iter().map(|one| {
        let Replaced { collection, gone, documents } = one;
        format!("  {collection}: {documents} documents, in place of {gone}")
    }));
    for (collection, fields) in left_out {
        if !collections.iter().any(|one| one.collection == *collection) {
            lines.push(format!("  {collection}: not put in, the preview's manifest does not declare it"));
        } else if !fields.is_empty() {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            lines.push(format!("  {collection}: left out {}", fields.join(", ")));
        }
    }
    if !without_rules.is_empty() {
        lines.push(format!("  nothing of {}: no rule says what may leave", without_rules.join(", ")));
    }
    lines
}

fn recovered(recovered: &Recovered) -> Vec<String> {
    let mut lines = vec![format!("begun with {}: secrets, certificates, proof and Redis", recovered.base)];
    if let Some((objects, bytes)) = recovered.objects {
        lines.push(format!("object storage: {objects} objects, {}", size(bytes)));
    }
    if let Some(releases) = &recovered.releases {
        match (&releases.live, &releases.lost) {
            (Some(live), _) => lines.push(format!("release {live} serves again")),
            (None, Some(lost)) => lines.push(format!("release {lost} was live, and CANNOT be run")),
            (None, None) => {}
        }
        lines.push(format!("{} releases can be run here: `roadbed releases` shows them", releases.whole));
        lines.extend(releases.lacking.iter().map(|what| format!("  not in the backup: {what}")));
        lines.extend(releases.ended.iter().map(|(id, state)| format!("  {id} was under way, and is {state}")));
    }
    if let Some(mongodb) = &recovered.mongodb {
        let documents: u64 = recovered.collections.iter().map(|one| one.documents).sum();
        let collections = recovered.collections.len();
        lines.push(format!("MongoDB as it was at {}: {collections} collections, {documents} documents", mongodb.at));
    }
    lines
}
