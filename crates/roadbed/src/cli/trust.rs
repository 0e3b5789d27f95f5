//! `roadbed trust`: make this machine accept the environment's certificates.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Where Debian and its kin look for certificates that the administrator adds.
const DEBIAN_STORE: &str = "/usr/local/share/ca-certificates";
const DEBIAN_UPDATE: &str = "/usr/sbin/update-ca-certificates";

/// It rewrites one bundle of some 140 certificates; 3 s on a slow disk.
const UPDATE_DEADLINE: Duration = Duration::from_secs(60);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    ca_file: PathBuf,
    /// Where it was installed by this command.
    installed: Option<PathBuf>,
}

pub async fn run(session: &Session, args: &args::Trust) -> Result<Exit, Failure> {
    let ca_file = session.root.ca_certificate();
    if !files::exists(&ca_file) {
        return Err(Failure::Work(
            Fault::new(format!("there is no CA in {} yet", session.root.path().display()))
                .hint(format!("the first `{}` makes it", session.command("up"))),
        ));
    }
    let installed = if args.install { Some(install(session, &ca_file).await?) } else { None };
    if session.output.is_json() {
        session.output.json(&Document { ca_file, installed })?;
        return Ok(Exit::Done);
    }
    if let Some(path) = installed {
        session.output.note(format!("installed as {}; Firefox and Chromium keep stores of their own", path.display()));
    } else {
        session.output.text(&explanation(&ca_file.display().to_string()))?;
    }
    Ok(Exit::Done)
}

fn explanation(ca: &str) -> String {
    format!(
        "\
The environment's certificates come from a certificate authority of its own:
  {ca}
Its key stays in the root of this environment; whoever can read that folder can make certificates
that you trust once you follow one of these. Remove it when you no longer need it.

curl        curl --cacert {ca} https://…
Node        NODE_EXTRA_CA_CERTS={ca} node …
Python      REQUESTS_CA_BUNDLE={ca} python …
Debian      sudo roadbed trust --install
            (by hand: copy it to {DEBIAN_STORE}/NAME.crt, then sudo update-ca-certificates)
Fedora      sudo trust anchor {ca}
macOS       sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ca}
Windows     certutil -addstore -user Root {ca}
Chromium    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n roadbed -i {ca}      (Linux; package libnss3-tools)
            on macOS and Windows it uses the system's store
Firefox     Settings > Privacy & Security > Certificates > View Certificates > Authorities > Import
"
    )
}

/// Copies the CA into the system store and has the bundle rewritten.
async fn install(session: &Session, ca_file: &Path) -> Result<PathBuf, Failure> {
    let cannot = |why: &str| Fault::new("cannot install the CA into the system store").cause(why);
    if !files::exists(Path::new(DEBIAN_UPDATE)) {
        return Err(Failure::Work(
            cannot("this system has no update-ca-certificates").hint("`roadbed trust` tells how to do it here"),
        ));
    }
    if !is_root()? {
        let root = session.root.path().display();
        return Err(Failure::Work(
            cannot("only root may write there").hint(format!("`sudo roadbed trust --install --root {root}`")),
        ));
    }
    let certificate = files::read(ca_file)?;
    // One name per root: two environments on one machine do not overwrite each other's.
    let name: String = session
        .root
        .path()
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let path = Path::new(DEBIAN_STORE).join(format!("roadbed{name}.crt"));
    files::create_dir(Path::new(DEBIAN_STORE), Access::Everyone)?;
    files::write_if_changed(&path, &certificate, Access::Everyone)?;
    let update = host::process::Run {
        program: DEBIAN_UPDATE.into(),
        args: Vec::new(),
        cwd: "/".into(),
        env: BTreeMap::from([("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())]),
        deadline: UPDATE_DEADLINE,
    };
    let finished = host::process::run(&update, &mut |_, _| {})
        .await
        .map_err(|fault| Fault::because("cannot run update-ca-certificates", &fault))?;
    if !finished.success() {
        return Err(Failure::Work(cannot("update-ca-certificates failed").output(finished.tail)));
    }
    Ok(path)
}

/// Our own entry in /proc belongs to who we are.
fn is_root() -> Result<bool, Failure> {
    Ok(files::metadata(Path::new("/proc/self"))?.uid() == 0)
}
