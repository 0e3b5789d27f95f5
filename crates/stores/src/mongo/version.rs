//! Which version of the server last wrote a data folder. An older one would not open it, and say so in words of its own.

use std::path::PathBuf;

use host::files::{self, Access};
use reconcile::Fault;

use super::place::Place;
use crate::engines::version::Version;
use crate::ground::file_fault;

/// In the data folder: it goes where the data goes. The server minds no file that it does not know.
const NOTE: &str = ".roadbed-mongod";

fn file(place: &Place) -> PathBuf {
    place.data.join(NOTE)
}

/// Refuses data of a later release of the server. Within a release, as from 6.0.5 to 6.0.4, data is the same.
pub(crate) fn refuse_newer(place: &Place, engine: Version) -> Result<(), Fault> {
    let bytes = files::read_if_exists(&file(place)).map_err(|fault| file_fault(&place.name, &fault))?;
    // A note that is no version is none: the server itself still refuses what it cannot open.
    let wrote = bytes.and_then(|bytes| Version::parse(String::from_utf8(bytes).ok()?.trim()).ok());
    let Some(wrote) = wrote.filter(|wrote| (wrote.major, wrote.minor) > (engine.major, engine.minor)) else {
        return Ok(());
    };
    Err(Fault::new(format!("cannot start {}: its data is of a newer version of mongod", place.name))
        .cause(format!("mongod {wrote} last wrote {}, and the one here is {engine}", place.data.display()))
        .hint(format!(
            "set `program` of [services.mongodb] to a mongod {}.{} or newer; Roadbed does not touch the data",
            wrote.major, wrote.minor
        )))
}

/// Notes who writes from now on.
pub(crate) fn note(place: &Place, engine: Version) -> Result<(), Fault> {
    files::write_if_changed(&file(place), engine.to_string().as_bytes(), Access::Owner)
        .map(drop)
        .map_err(|fault| file_fault(&place.name, &fault))
}
