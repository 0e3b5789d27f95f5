//! `--from`: which repository is meant, and who logs in there. The secret store, which knows that otherwise, is what is to be restored.

use std::path::Path;

use backup::{Destination, Place, Repository};
use manifest::{Backup, RepositoryPlace, without_password};
use reconcile::Fault;

use crate::cli::backup_args::Restore;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::backing_up::Source;

/// Who logs in, where no file says so.
pub(super) const ACCESS: &str = "ROADBED_BACKUP_ACCESS";

const SAY_WHO: &str = "--access FILE, or the variable ROADBED_BACKUP_ACCESS, says who logs in there: USER:PASSWORD, \
    ACCESS_KEY_ID:SECRET_ACCESS_KEY, or a private key of OpenSSH without a passphrase";

/// What is meant by `--from`: itself, or as a place in which each environment has a repository of its own.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) shown: String,
    candidates: [Source; 2],
}

pub(super) fn meant(session: &Session, args: &Restore, text: &str, backup: &Backup) -> Result<Meant, Failure> {
    let folder = |path: &Path| session.surroundings.folder.join(path);
    let environment = session.environment()?;
    let is_address = ["rest:", "s3:", "sftp:", "http:", "https:"].iter().any(|scheme| text.starts_with(scheme));
    let places = if is_address {
        of_address(args, text, backup, &environment)?
    } else {
        let place = folder(Path::new(text));
        [Place::Folder(place.clone()), Place::Folder(place.join(&environment))]
    };
    let access = match (&args.access, session.surroundings.variable(ACCESS)) {
        (Some(file), _) => Some(access_in(&folder(file))?),
        (None, given) => given,
    };
    let access = access.filter(|_| is_address);
    let candidates = places.map(|place| Source { place, access: access.clone() });
    Ok(Meant { shown: without_password(text), candidates })
}

fn access_in(file: &Path) -> Result<String, Fault> {
    let text = host::files::read_string(file);
    let text =
        text.map_err(|fault| Fault::because("cannot read who logs in at the repository", &fault).hint(SAY_WHO))?;
    // A key ends with a line of its own; of a pair the end of the line is no part.
    Ok(if text.starts_with("-----BEGIN") { text } else { text.trim().to_owned() })
}

fn of_address(args: &Restore, text: &str, backup: &Backup, environment: &str) -> Result<[Place; 2], Failure> {
    let place: RepositoryPlace = text.parse().map_err(|error: manifest::NotAPlace| {
        let hint = if error.hint.contains("secrets set") { SAY_WHO.to_owned() } else { error.hint.clone() };
        Failure::Usage(Fault::because("cannot restore from there", &error).hint(hint))
    })?;
    let known = || std::iter::once(&backup.repository).chain(backup.copies.iter().map(|copy| &copy.destination));
    Ok(match place {
        RepositoryPlace::Rest(url) => {
            let below = format!("{url}{environment}/");
            [Place::Rest { url }, Place::Rest { url: below }]
        }
        RepositoryPlace::S3 { endpoint, bucket, prefix } => {
            let same = known().find(
                |known| matches!(&known.place, RepositoryPlace::S3 { endpoint: other, .. } if *other == endpoint),
            );
            let region = args.region.clone().or_else(|| same.map(|known| known.region.clone()));
            let region = region.unwrap_or_else(|| "us-east-1".to_owned());
            let below = if prefix.is_empty() { environment.to_owned() } else { format!("{prefix}/{environment}") };
            [prefix, below].map(|prefix| Place::S3 {
                endpoint: endpoint.clone(),
                bucket: bucket.clone(),
                prefix,
                region: region.clone(),
            })
        }
        RepositoryPlace::Sftp { user, host, port, path } => {
            let same = known().find(|known| match &known.place {
                RepositoryPlace::Sftp { host: other, port: at, .. } => (other, at) == (&host, &port),
                _ => false,
            });
            let host_key = args.host_key.clone().or_else(|| same.and_then(|known| known.host_key.clone()));
            let host_key = host_key.ok_or_else(|| {
                Failure::Usage(
                    Fault::new(format!("cannot restore from {host}: nothing says by which key it is known"))
                        .hint("--host-key \"ssh-ed25519 AAAA…\", as the manifest had it in `host_key`"),
                )
            })?;
            let below = format!("{path}/{environment}");
            [path, below].map(|path| Place::Sftp {
                user: user.clone(),
                host: host.clone(),
                port,
                path,
                host_key: host_key.clone(),
            })
        }
        RepositoryPlace::Folder(_) | RepositoryPlace::InRoot => {
            return Err(Failure::Usage(Fault::new("cannot restore from there: it is no address")));
        }
    })
}

impl Meant {
    /// Opens it. Waits for networks.
    pub(super) fn open(&self, key: &str) -> Result<(Repository, Source), Fault> {
        for source in &self.candidates {
            let destination: Destination = source.destination()?;
            if let Some(opened) = Repository::open_at(&destination, key).map_err(told)? {
                return Ok((opened, source.clone()));
            }
        }
        let [here, below] = &self.candidates;
        let fault = Fault::new(format!("there is no repository in {}, and none in {}", here.place, below.place));
        Err(match &here.place {
            Place::Folder(_) => fault.hint("name the folder that has `config`, `keys` and `snapshots` in it"),
            _ => fault.hint("name the place as the manifest did in `repository`, or with the environment at its end"),
        })
    }
}

/// There is no secret store that could be told.
fn told(fault: Fault) -> Fault {
    if fault.hint.as_ref().is_some_and(|hint| hint.contains("secrets set")) { fault.hint(SAY_WHO) } else { fault }
}
