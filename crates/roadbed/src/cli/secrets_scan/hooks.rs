//! The hooks of git that search before a commit is made and before a push is taken in.

use std::path::Path;

use host::files::{self, Access};
use reconcile::Fault;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Ours begin so; whatever else lies there is somebody's and is kept.
const OURS: &str = "# Written by `roadbed secrets scan --install-hooks`.";

const PRE_COMMIT: &str = "\
#!/bin/sh
# Written by `roadbed secrets scan --install-hooks`.
# Runs the hook that was here before, then searches what is staged.
before=\"$(dirname \"$0\")/pre-commit.before-roadbed\"
if [ -x \"$before\" ]; then
  \"$before\" \"$@\" || exit $?
fi
exec roadbed secrets scan --staged
";

const PRE_RECEIVE: &str = "\
#!/bin/sh
# hooks/pre-receive of the server's repository: searches what a push brings before it is taken in.
# Runs the hook that was here before, if it lies beside as pre-receive.before-roadbed.
pushed=\"$(cat)\"
before=\"$(dirname \"$0\")/pre-receive.before-roadbed\"
if [ -x \"$before\" ]; then
  printf '%s\\n' \"$pushed\" | \"$before\" \"$@\" || exit $?
fi
printf '%s\\n' \"$pushed\" | roadbed secrets scan --received --no-store
";

/// Writes the pre-commit hook, moving what was there to where ours runs it; prints the other one.
pub(super) fn install(session: &Session, folder: &Path) -> Result<Exit, Failure> {
    let hooks = leaks::hooks(folder).map_err(|fault| {
        Failure::Usage(Fault::because("cannot install hooks", &fault).hint("go to the folder of a git repository"))
    })?;
    files::create_dir(&hooks, Access::Everyone)?;
    let hook = hooks.join("pre-commit");
    let before = hooks.join("pre-commit.before-roadbed");
    let output = &session.output;
    if let Some(text) = files::read_if_exists(&hook)?
        && !String::from_utf8_lossy(&text).contains(OURS)
    {
        if files::exists(&before) {
            let what = format!("cannot keep {}: there is a {} already", hook.display(), before.display());
            return Err(Failure::Work(Fault::new(what).hint("join the two by hand, then run this again")));
        }
        files::rename(&hook, &before)?;
        output.note(format!("the hook that was there is {} now, and runs first", session.surroundings.shown(&before)));
    }
    files::write_durable(&hook, PRE_COMMIT.as_bytes(), Access::Everyone)?;
    files::set_executable(&hook)?;
    let shown = session.surroundings.shown(&hook);
    output.note(format!("{} {shown} searches what is staged; for a server:", output.notes.good("✓")));
    output.text(PRE_RECEIVE)?;
    Ok(Exit::Done)
}
