//! The manifest: text in, meaning out.
//!
//! ```text
//!   roadbed.toml ── parse ──► Manifest + every fault at once ── resolve(environment) ──► Environment (nothing left to default)
//!                              │
//!                              └── matrix, examples, schema ──► generated files
//! ```
//!
//! The tables are defined once, in `tables` and its like: that definition is the Rust type, the reading of it and its JSON Schema.
//!
//! **Invariant:** pure. No clock, no file, no network, no randomness, no process: the same text means the same thing
//! everywhere.

mod abuse;
mod accessor;
mod api;
mod backup;
mod cache;
mod repository_place;
mod check;
mod ci;
mod collections;
mod rollout;
mod scale;
mod diff;
mod driver;
pub mod environment;
mod environments_page;
mod example;
mod findings;
mod generated;
mod github;
pub mod id;
mod matrix;
mod incidents;
mod managed;
mod members;
mod media;
mod migration;
pub mod monitoring;
pub mod exports;
mod oidc;
pub mod naming;
pub mod network;
mod parse;
mod preview;
mod rate_limit;
mod protection;
mod record;
mod resolve;
pub mod rotation;
mod sample;
mod scalars;
mod scan;
mod schema;
mod shape;
mod sign_in;
mod console;
pub mod source;
mod syntax;
mod tables;
mod target;
mod template;
mod tls;
mod variable_tables;
pub mod value;
mod workflows;

pub use abuse::{Abuse, Challenge, Scanners};
pub use accessor::accessor;
pub use api::Api;
pub use backup::{Backup, BackupCopy, Destination, Probe};
pub use cache::Cache;
pub use ci::{Ci, CiApp, CiDifference, CiTask};
pub use console::Console;
pub use diff::{Difference, diff};
pub use driver::External;
pub use environment::Environment;
pub use example::example;
pub use exports::{Export, ExportType};
pub use generated::{GeneratedFile, generated};
pub use github::{Github, GithubEnvironment};
pub use id::{
    AppName, BucketName, ChannelName, CollectionName, CopyName, EnvName, ExportName, MigrationName, MonitorName,
    OwnerName, PersonName, ProductName, VarName,
};
pub use incidents::{Incidents, Owner, ServedEnvironment, Team};
pub use managed::{Atlas, AtlasCloud, AtlasSize, Provider, Upstash, UpstashPlan, UpstashRegion};
pub use matrix::{Cell, Matrix, Presence, Row, SourceKind, matrix};
pub use media::{Bucket, Media};
pub use migration::{Half, Migration};
pub use monitoring::Monitoring;
pub use naming::{BranchSlug, Names};
pub use oidc::{Algorithm, CiEvent, Oidc, Runner};
pub use parse::{DeclaredPath, Manifest, parse};
pub use preview::{Ceiling, Preview};
pub use protection::{Protection, is_check_name};
pub use rate_limit::{LimitedRoute, Rate, RateLimit, RateLimitKey, RateLimitMode};
pub use repository_place::{NotAPlace, RepositoryPlace};
pub use resolve::UnknownEnv;
pub use rollout::Rollout;
pub use rotation::{RotatedBy, Rotation, RotationKind, RotationSchedule};
pub use sample::{Mask, Sample, Seed};
pub use scale::Scale;
pub use scan::{Allowed, ComputedNames, FindingKind, Glob, Position, RunsIn, Scan, ScannedApp, scan};
pub use schema::schema;
pub use shape::without_password;
pub use sign_in::SignIn;
pub use source::{Diagnostic, Severity, Source, Span};
pub use target::{Change, EnvRef, Instance, NotABranch, NotAnEnvironment, Target};
pub use template::MissingFact;
pub use tls::{AcmeAuthority, ChallengeKind, Dns, Hsts, Issuer, KeyAlgorithm, OnDemand, Tls};
pub use value::{NotSuchAValue, Rule, ValueType};
pub use workflows::{DeployedBranch, Program, ProgramOrigin, Workflows};
