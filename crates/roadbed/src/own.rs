//! The program that runs here, for starting its other roles.

use host::files;
use reconcile::Fault;

/// Its path.
pub fn program() -> Result<std::path::PathBuf, Fault> {
    host::own::program().map_err(|fault| Fault::because("cannot find the program that is running", &fault))
}

/// Tells one build of Roadbed from another: a rebuilt program has another size or time, and its roles are then replaced while
/// apps and stores go on.
pub fn revision() -> Result<String, Fault> {
    let meta =
        files::metadata(&program()?).map_err(|fault| Fault::because("cannot look at our own program", &fault))?;
    let modified = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(format!("{}-{}", meta.len(), modified.unwrap_or_default().as_nanos()))
}
