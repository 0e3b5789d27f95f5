//! How what was broken is made whole again: plain data, in the order in which it is done.

use std::path::PathBuf;

use host::files::{self, Access, FileFault};
use reconcile::Fault;
use reconcile::ports::Units;

use super::Stage;

/// One step back.
#[derive(Debug)]
pub enum Mend {
    /// The file as it was.
    Write {
        path: PathBuf,
        content: Vec<u8>,
    },
    Remove(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        target: PathBuf,
        link: PathBuf,
    },
    Restart(String),
    /// What `roadbed up` does: it must see that there is something to do.
    Converge,
}

impl Stage {
    /// Makes whole again what a scene has broken.
    ///
    /// # Errors
    /// Where a step cannot be taken; what comes after it is not tried.
    pub async fn mend(&self, mends: Vec<Mend>) -> Result<(), Fault> {
        for mend in mends {
            self.mend_one(mend).await?;
        }
        Ok(())
    }

    async fn mend_one(&self, mend: Mend) -> Result<(), Fault> {
        let cannot = |fault: FileFault| Fault::because("cannot mend what was broken", &fault);
        match mend {
            Mend::Write { path, content } => files::write(&path, &content, Access::Owner).map_err(cannot),
            Mend::Remove(path) => files::remove(&path).map_err(cannot),
            Mend::Rename { from, to } => files::rename(&from, &to).map_err(cannot),
            Mend::Link { target, link } => files::symlink(&target, &link).map_err(cannot),
            Mend::Restart(unit) => self.keeper().restart(&unit).await,
            Mend::Converge => match self.converge(&mut |_| {}).await? {
                0 => Err(Fault::new("a convergence saw nothing of what was broken")
                    .hint("`roadbed plan` shows what it compares")),
                _ => Ok(()),
            },
        }
    }
}
