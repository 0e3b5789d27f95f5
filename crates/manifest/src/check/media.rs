//! Object storage: hosts of its own, and buckets that storages can name.

use super::meeting::may_meet;
use super::services::longest_slug;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::media::{BucketTable, MediaTable};
use crate::naming::slug_pattern;
use crate::source::At;
use crate::tables::{Document, EnvironmentTable};

/// Longest name of a bucket in S3.
const LONGEST_BUCKET: usize = 63;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let Some(media) = &document.services.media else { return };
    hosts(media, document, findings);
    if media.widths.is_empty() {
        findings
            .error(media.host.span, "pictures are delivered in no width at all")
            .hint("write one to widths of [services.media], or leave the key out");
    }
    for (bucket, table) in media.buckets.in_order() {
        if bucket.as_str().ends_with('-') {
            findings
                .error(bucket.span, format!("the name of the bucket \"{}\" ends with '-'", bucket.value))
                .hint("object storages take only names that end with a letter or a digit");
        }
        sizes(bucket, table, findings);
        writers(table, document, findings);
        let product = document.product.name.as_str();
        for (environment, table) in document.environments.iter() {
            let longest = format!("{product}-{}-{}", longest_slug(environment, table), bucket.value);
            if longest.len() > LONGEST_BUCKET {
                let message = format!("the bucket would be named {longest}, longer than {LONGEST_BUCKET} characters");
                findings
                    .error(bucket.span, message)
                    .hint("shorten the name of the bucket, the environment or the product");
            }
        }
    }
    buckets_of_two(media, document, findings);
}

/// A host leads to one thing.
fn hosts(media: &MediaTable, document: &Document, findings: &mut Findings) {
    if media.host.value == media.objects_host.value {
        findings
            .error(media.objects_host.span, "pictures are delivered at the host where S3 is spoken")
            .hint("give each a label of its own: host = \"media\", objects_host = \"objects\"");
    }
    let environments = document.environments.in_order();
    for (what, host) in media.hosts() {
        let taken = environments.iter().find_map(|(name, table)| {
            let domain = table.domain.of(None);
            let ours = host.value.on(&domain);
            let of_apps = document.apps.in_order().into_iter().find(|(_, app)| {
                environments.iter().any(|(_, other)| {
                    let domain = other.domain.of(None);
                    app.hosts.iter().any(|claimed| claimed.on(&domain) == ours)
                })
            });
            let of_console = table.console.as_ref().is_some_and(|console| console.value.host.on(&domain) == ours);
            let of_app = of_apps.map(|(app, _)| format!("\"{}\"", app.value));
            Some((name, ours, of_app.or_else(|| of_console.then(|| "the console".to_owned()))?))
        });
        if let Some((name, ours, other)) = taken {
            findings
                .error(host.span, format!("{ours} would be {what} and {other} in {}", name.value))
                .hint("give it another label in [services.media]");
        }
    }
}

fn sizes(name: &At<crate::id::BucketName>, bucket: &BucketTable, findings: &mut Findings) {
    if bucket.quota < bucket.max_object {
        findings
            .error(name.span, format!("the bucket \"{}\" has no room for its largest object", name.value))
            .hint("make `quota` as large as `max_object` at least");
    }
}

fn writers(bucket: &BucketTable, document: &Document, findings: &mut Findings) {
    for writer in bucket.writers.iter().flat_map(|writers| writers.iter()) {
        let needs = document
            .apps
            .get(&writer.value)
            .map(|app| app.needs.iter().any(|need| need.service() == Some(crate::environment::ServiceName::Media)));
        match needs {
            None => {
                findings
                    .error(writer.span, format!("there is no app \"{}\"", writer.value))
                    .hint("name apps that need \"media\"");
            }
            Some(false) => {
                findings
                    .error(
                        writer.span,
                        format!("\"{}\" writes to a bucket, but does not need object storage", writer.value),
                    )
                    .hint(format!("add \"media\" to needs of [apps.{}]", writer.value));
            }
            Some(true) => {}
        }
    }
}

/// A bucket's full name is joined by dashes: `eu-pictures` of `staging` must not be `pictures` of `staging-eu`.
fn buckets_of_two(media: &MediaTable, document: &Document, findings: &mut Findings) {
    let pattern = |(name, table): (&At<EnvName>, &EnvironmentTable)| {
        slug_pattern(&name.value, table.per.as_ref().map(|per| per.value))
    };
    let patterns: Vec<(&EnvName, String)> =
        document.environments.iter().map(|entry| (&entry.0.value, pattern(entry))).collect();
    for (long, _) in media.buckets.iter() {
        for (short, _) in media.buckets.iter() {
            let between = long.as_str().strip_suffix(short.as_str()).and_then(|rest| rest.strip_suffix('-'));
            let Some(between) = between else { continue };
            let of_two = patterns.iter().find_map(|(first, pattern)| {
                let extended = format!("{pattern}-{between}");
                let (second, _) = patterns.iter().find(|(_, other)| may_meet(&extended, other))?;
                Some((first, second))
            });
            if let Some((first, second)) = of_two {
                let message =
                    format!("the bucket \"{}\" of {first} would be \"{}\" of {second}", long.value, short.value);
                findings.error(long.span, message).hint("rename one of the buckets");
            }
        }
    }
}
