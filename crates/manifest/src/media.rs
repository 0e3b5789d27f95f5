//! Object storage, and how pictures in it are delivered.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::environment::Access;
use crate::id::{AppName, BucketName};
use crate::naming::Names;
use crate::record::record;
use crate::scalars::{Age, Bytes, Host, integer};
use crate::shape::{Definitions, Reader, Shape, Table, Value};
use crate::source::At;

record! {
    /// Object storage: what apps keep as files. They speak S3 with it; pictures in public buckets are delivered in the size and
    /// format that a page asks for.
    pub(crate) struct MediaTable {
        /// Where pictures are delivered: what comes before the environment's domain. No page is served there and no cookie.
        host: At<Host> = "media",
        /// Where browsers and others outside of the environment speak S3, by addresses that an app signed.
        objects_host: At<Host> = "objects",
        /// Widths in which a picture is delivered, in pixels. Any other is refused: each costs time and room.
        widths: Vec<At<Width>> = [160, 320, 480, 640, 960, 1280, 1600, 1920],
        /// The buckets.
        buckets: Table<BucketName, BucketTable>,
    }
}

record! {
    /// A bucket.
    pub(crate) struct BucketTable {
        /// What it holds.
        description: String,
        /// Who may read it: of a public one everybody, by the host where pictures are delivered.
        access: Access = "protected",
        /// Largest object.
        max_object: Bytes = "16 MiB",
        /// How much it may hold in all, with what was overwritten and deleted and is still kept.
        quota: Bytes = "10 GiB",
        /// For how long what was overwritten or deleted can be had back.
        undo: Age = "7d",
        /// Apps that write and delete. Whoever else needs `media` reads. Default: all that need it.
        writers: Option<At<Vec<At<AppName>>>>,
    }
}

/// The width of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width(pub(crate) u32);

impl Shape for Width {
    const WANTS: &'static str = "a whole number of pixels from 16 to 4096";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 16..=4096).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes: 640");
            Self::stand_in()
        })
    }

    fn stand_in() -> Self {
        Self(640)
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 16, "maximum": 4096 })
    }
}

/// Object storage of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Those that need it.
    pub apps: Vec<AppName>,
    /// Where pictures are delivered, in lower case.
    pub host: String,
    /// Where S3 is spoken with those outside, in lower case.
    pub objects_host: String,
    /// In pixels, from the smallest.
    pub widths: Vec<u32>,
    pub buckets: Vec<Bucket>,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: BucketName,
    /// Its name in the storage, with product and environment: `urbancart-local-products`.
    pub full_name: String,
    /// What it holds.
    pub doc: String,
    pub access: Access,
    /// Bytes.
    pub max_object: u64,
    /// Bytes.
    pub quota: u64,
    /// For how long what was overwritten or deleted is kept.
    pub undo: Duration,
    pub writers: Vec<AppName>,
}

impl MediaTable {
    pub(crate) fn resolve(&self, names: &Names, domain: &str, apps: Vec<AppName>) -> Media {
        let bucket = |(name, bucket): (&At<BucketName>, &BucketTable)| Bucket {
            name: name.value.clone(),
            full_name: names.bucket(&name.value),
            doc: bucket.description.clone(),
            access: bucket.access,
            max_object: bucket.max_object.0,
            quota: bucket.quota.0,
            undo: bucket.undo.0,
            writers: match &bucket.writers {
                Some(writers) => writers.iter().map(|writer| writer.value.clone()).collect(),
                None => apps.clone(),
            },
        };
        let buckets = self.buckets.in_order().into_iter().map(bucket).collect();
        let mut widths: Vec<u32> = self.widths.iter().map(|width| width.0).collect();
        widths.sort_unstable();
        widths.dedup();
        let on_domain = |host: &Host| host.on(domain).to_ascii_lowercase();
        Media { host: on_domain(&self.host), objects_host: on_domain(&self.objects_host), widths, buckets, apps }
    }

    /// The hosts that it takes, with what each is for.
    pub(crate) fn hosts(&self) -> [(&'static str, &At<Host>); 2] {
        [("where pictures are delivered", &self.host), ("where S3 is spoken", &self.objects_host)]
    }
}

impl Media {
    /// The hosts of the edge that lead to it.
    pub fn hosts(&self) -> [&String; 2] {
        [&self.host, &self.objects_host]
    }

    pub fn bucket(&self, name: &BucketName) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.name == *name)
    }
}
