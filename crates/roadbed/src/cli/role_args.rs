//! What the roles are started with. They are started by the keeper, never by a person.

use std::path::PathBuf;

use clap::Args;

/// A role takes its root from the global flag and everything else from there.
#[derive(Debug, Args)]
pub struct Role {}

/// Where the gateway listens, and whom it asks, all on loopback
#[derive(Debug, Args)]
pub struct RedisRest {
    /// Port to listen on
    #[arg(long)]
    pub listen: u16,
    /// Port of Redis
    #[arg(long)]
    pub redis: u16,
    /// Certificates, in PEM, of whom Redis's own is signed by
    #[arg(long)]
    pub authorities: PathBuf,
}

/// Where object storage listens on loopback, and where its objects lie
#[derive(Debug, Args)]
pub struct Objects {
    /// Port to listen on
    #[arg(long)]
    pub listen: u16,
    /// Where its objects lie
    #[arg(long)]
    pub folder: PathBuf,
    /// Folder with its settings and who is let in
    #[arg(long)]
    pub told: PathBuf,
}

/// It has what comes on its standard input, and nothing else
#[derive(Debug, Args)]
pub struct MediaWorker {}

/// Where pictures are asked for, and where they are read from, both on loopback
#[derive(Debug, Args)]
pub struct Media {
    /// Port to listen on
    #[arg(long)]
    pub listen: u16,
    /// Port of object storage
    #[arg(long)]
    pub objects: u16,
    /// Folder with its settings
    #[arg(long)]
    pub told: PathBuf,
}
