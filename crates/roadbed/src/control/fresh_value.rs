//! The next value of a variable: made here, or by a command of the manifest; and the end of the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use host::clock::Timestamp;
use host::process::{self, Run, Stream, find_in_path};
use manifest::environment::Source;
use manifest::{RotationKind, ValueType};
use reconcile::Fault;
use secrets::{Secret, generate, jwk};

use crate::rotation::{Behind, Subject};
use crate::wanted::Wanted;
use crate::world::errors;

/// A provider's API answers within seconds; a command that asks a person is no command for this.
const DEADLINE: Duration = Duration::from_secs(120);

/// In it a command finds the value that it is to revoke: seen by nobody but who may see the environment of processes.
const VALUE: &str = "ROADBED_VALUE";
/// Names the version, so that a command that is run again after a crash can tell that it was.
const VERSION: &str = "ROADBED_VERSION";

/// Why there is no way to a next value, if there is none.
pub fn refusal(subject: &Subject) -> Option<Fault> {
    let Behind::Variable(variable) = &subject.behind else { return None };
    let name = subject.name();
    let is_set_by_people = variable.source == Source::Store && subject.rotation.create.is_none();
    if subject.rotation.kind.is_automatic() && !is_set_by_people {
        return None;
    }
    let fault = Fault::new(format!("cannot rotate {name}: Roadbed does not know how to make its next value"));
    Some(match variable.source {
        Source::Store => fault.hint(format!(
            "`roadbed secrets set {name}` takes one from you; rotate.create in [variables.{name}] names a command that makes one"
        )),
        _ => fault.hint(format!(
            "say in [variables.{name}] how old and new hold side by side, such as rotate = {{ kind = \"keyring\" }}"
        )),
    })
}

/// Makes a value.
pub async fn make(subject: &Subject, version: u32, want: &Wanted, now: Timestamp) -> Result<Secret, Fault> {
    let name = subject.name();
    let random = |fault: &(dyn std::error::Error + 'static)| Fault::because(format!("cannot make a {name}"), fault);
    let variable = match &subject.behind {
        Behind::Variable(variable) => variable,
        Behind::Authority { .. } => return stores::fresh_authority_key(now),
        Behind::OwnPassword => return generate::credential().map_err(|fault| random(&fault)),
    };
    if variable.rule.value_type == ValueType::Jwk {
        return jwk::generate().map_err(|fault| random(&fault));
    }
    if subject.rotation.kind == RotationKind::ErrorsDual {
        return errors::fresh_key();
    }
    let Some(command) = subject.rotation.create.as_ref().filter(|_| variable.source == Source::Store) else {
        return generate::credential().map_err(|fault| random(&fault));
    };
    let told = run(command, &[(VERSION, version.to_string())], want).await?;
    let cannot = |why: &str| {
        Fault::new(format!("cannot rotate {name}: {why}")).hint(format!("try `{}` by hand", command.join(" ")))
    };
    let [value] = <[Secret; 1]>::try_from(told).map_err(|lines: Vec<Secret>| {
        cannot(&format!("its command wrote {} lines, and a value is one line", lines.len()))
    })?;
    // Commas part the values of a list.
    if subject.rotation.kind.is_list() && value.expose().contains(',') {
        return Err(cannot("its command wrote a value with a comma"));
    }
    variable.rule.check(value.expose()).map_err(|wrong| cannot(&format!("what its command wrote {wrong}")))?;
    Ok(value)
}

/// Has the provider forget a value. Done again after a crash, so the command must not mind a value that is gone.
pub async fn revoke(subject: &Subject, version: u32, value: &Secret, want: &Wanted) -> Result<(), Fault> {
    let Some(command) = &subject.rotation.revoke else { return Ok(()) };
    if subject.rotation.kind != RotationKind::ProviderDual {
        return Ok(());
    }
    run(command, &[(VERSION, version.to_string()), (VALUE, value.expose().to_owned())], want).await.map(drop)
}

/// Runs a command of the manifest; what it writes to its standard output is nobody's but the caller's.
async fn run(command: &[String], own: &[(&str, String)], want: &Wanted) -> Result<Vec<Secret>, Fault> {
    let shown = command.join(" ");
    let cannot = |why: String| Fault::new(format!("cannot run `{shown}`")).cause(why);
    let Some((first, args)) = command.split_first() else { return Err(cannot("it has no words".to_owned())) };
    let cwd = crate::world::project(&want.manifest).to_owned();
    let program = if first.contains('/') {
        cwd.join(first)
    } else {
        let path = want.tools.get("PATH").map_or("", String::as_str);
        find_in_path(first, path).ok_or_else(|| cannot(format!("there is no program {first} in PATH")))?
    };
    let mut env: BTreeMap<String, String> = want.tools.clone();
    env.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let run = Run { program, args: args.to_vec(), cwd, env, deadline: DEADLINE };
    let mut told = Vec::new();
    let finished = process::run(&run, &mut |stream, line| {
        if stream == Stream::Out {
            told.push(Secret::new(line.to_owned()));
        }
    })
    .await
    .map_err(|fault| Fault::because(format!("cannot run `{shown}`"), &fault))?;
    // Its lines are not shown: they may be the value.
    if finished.success() { Ok(told) } else { Err(cannot(format!("it ended with {}", finished.describe()))) }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use host::files;
    use manifest::{EnvRef, Source as Text};

    use super::*;
    use crate::rotation::subjects;

    /// UrbanCart, whose payment provider has these commands.
    fn provider(create: &str, revoke: &str) -> Subject {
        let commands = format!(
            "rotate = {{ kind = \"provider-dual\", create = [\"sh\", \"-c\", '{create}'], revoke = [\"sh\", \"-c\", '{revoke}'] }}"
        );
        let text = include_str!("../../../../roadbed.toml")
            .replace("example = \"sk_test_", &format!("{commands}\nexample = \"sk_test_"));
        let (manifest, told) = manifest::parse(&Text::new("roadbed.toml", text));
        assert!(told.is_empty(), "{told:?}");
        let environment = manifest.unwrap().resolve(&"local".parse::<EnvRef>().unwrap()).unwrap();
        subjects(&environment).into_iter().find(|one| one.name() == "PAYMENT_SECRET_KEY").unwrap()
    }

    fn wanted(folder: &Path) -> Wanted {
        Wanted {
            manifest: folder.join("roadbed.toml"),
            text: String::new(),
            environment: "local".to_owned(),
            product: "urbancart".to_owned(),
            state: None,
            config: None,
            dev: crate::wanted::DevApps::None,
            apps: crate::wanted::Apps::FromProject,
            http_port: None,
            https_port: None,
            ports: crate::wanted::PublicPorts::AsDeclared,
            cache: PathBuf::new(),
            tools: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            given: crate::wanted::Given::default(),
            asked: None,
            asked_at: None,
            destroy: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_provider_makes_the_next_value_and_revokes_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let want = wanted(folder.path());
        let subject = provider("echo sk_test_made$ROADBED_VERSION", "echo revoked $ROADBED_VALUE >> told");
        assert!(refusal(&subject).is_none());
        let value = make(&subject, 7, &want, Timestamp::from_unix_millis(0)).await.unwrap();
        assert_eq!(value.expose(), "sk_test_made7");
        revoke(&subject, 6, &Secret::new("sk_test_made6".to_owned()), &want).await.unwrap();
        assert_eq!(files::read_string(&folder.path().join("told")).unwrap(), "revoked sk_test_made6\n");
    }

    #[tokio::test]
    async fn what_is_no_value_is_refused_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let want = wanted(folder.path());
        for (create, why) in [
            ("echo hunter2", "must match"),
            ("echo sk_test_hunter2; echo sk_test_hunter2", "wrote 2 lines"),
            ("true", "wrote 0 lines"),
            ("echo sk_test_hunter2; exit 3", "exit code 3"),
        ] {
            let fault = make(&provider(create, "true"), 2, &want, Timestamp::from_unix_millis(0)).await.unwrap_err();
            let told = format!("{} {}", fault.message, fault.causes.join(" "));
            let shown = told.replace(create, "");
            assert!(shown.contains(why) && !shown.contains("hunter2"), "{create}: {told}");
        }
        let fault =
            revoke(&provider("true", "exit 1"), 2, &Secret::new("hunter2".to_owned()), &want).await.unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }

    #[test]
    fn what_nobody_can_make_is_said_with_the_way_out() {
        let manual = Subject {
            rotation: manifest::Rotation { create: None, ..provider("true", "true").rotation },
            ..provider("true", "true")
        };
        assert!(refusal(&manual).unwrap().hint.unwrap().contains("roadbed secrets set PAYMENT_SECRET_KEY"));
    }
}
