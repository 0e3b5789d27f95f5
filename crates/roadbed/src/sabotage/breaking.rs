//! How each scene breaks what it is about: behind the back of who keeps it, as a person in a hurry or a bad disk would.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use host::files;
use incidents::runbook;
use manifest::environment::{Access, Class};
use manifest::{AppName, Team};
use mongodb::bson::doc;
use reconcile::Fault;
use reconcile::ports::{SiteAccess, UnitKind, UnitState, Units};
use secrets::SecretName;
use stores::mongo::OwnUser;

use super::stage::cannot;
use super::{Attempt, Cut, Mend, Scene, Stage, ground};

impl Stage {
    /// Breaks it.
    ///
    /// # Errors
    /// Where it cannot be broken though there is such a thing. What was touched until then stays so.
    pub async fn break_for(&self, scene: &Scene) -> Result<Attempt, Fault> {
        match scene.cut {
            Cut::RequiredVariableWithoutAValue => self.required_variable_without_a_value(),
            Cut::EnvironmentUnderAnotherName => self.environment_under_another_name(),
            Cut::UserThatNobodyAskedFor => self.user_that_nobody_asked_for().await,
            Cut::RedisThatDropsCarts => self.redis_that_drops_carts().await,
            Cut::ProgramThatIsGone => self.program_that_is_gone().await,
            Cut::RedirectsElsewhere => {
                self.publish(|table| table.https_port = 1).await?;
                Ok(Attempt::Broken(vec![Mend::Converge]))
            }
            Cut::SecretInALog => self.secret_in_a_log(),
            Cut::EditedWorkflow => self.edited_workflow(),
            Cut::PolicyThatNoPageWorksWith => {
                let policy = ("content-security-policy".to_owned(), "default-src 'none'".to_owned());
                self.publish(|table| table.sites.iter_mut().for_each(|site| site.headers.extend([policy.clone()])))
                    .await?;
                Ok(Attempt::Broken(vec![Mend::Converge]))
            }
            Cut::RouteToAnotherRelease => {
                self.publish(|table| {
                    table.sites.iter_mut().for_each(|site| site.release = site.release.take().map(|_| "r0".to_owned()));
                })
                .await?;
                Ok(Attempt::Broken(vec![Mend::Converge]))
            }
            Cut::AccessLogUnderAnotherName => {
                // The edge goes on in the file that it has open, under a name that is no log's.
                let (log, aside) = (self.root().access_log(), self.root().logs().join("access.aside"));
                files::rename(&log, &aside).map_err(|fault| cannot(&fault))?;
                Ok(Attempt::Broken(vec![Mend::Rename { from: aside, to: log }]))
            }
            Cut::NoLimits if self.environment().rate_limits.is_empty() => not_here("nothing is limited here"),
            Cut::NoLimits => {
                self.publish(|table| table.rate_limits = None).await?;
                Ok(Attempt::Broken(vec![Mend::Converge]))
            }
            Cut::FlippedByteInABackup => self.flipped_byte_in_a_backup(),
            Cut::EditedRunbook => self.edited(runbook::PATH, "there is no runbook"),
            Cut::AppThatIsShut => self.app_that_is_shut().await,
        }
    }

    fn required_variable_without_a_value(&self) -> Result<Attempt, Fault> {
        let environment = self.environment();
        let (Some(app), Some(owner)) =
            (environment.apps.first(), environment.variables.first().map(|variable| &variable.owner))
        else {
            return not_here("the manifest has no app with variables");
        };
        self.appended(&format!(
            "\n[variables.SABOTAGED]\ndescription = \"Nobody has its value\"\napps = [\"{}\"]\nclass = \"secret\"\nowner = \"{owner}\"\n\
             source = \"store\"\nexample = \"example-only\"\n",
            app.name
        ))
    }

    fn environment_under_another_name(&self) -> Result<Attempt, Fault> {
        let domain = &self.environment().domain;
        let path = self.manifest_path().to_owned();
        let content = Self::read(&path)?;
        let text = String::from_utf8_lossy(&content).into_owned();
        let changed = text.replacen(&format!("domain = \"{domain}\""), &format!("domain = \"another.{domain}\""), 1);
        if changed == text {
            return not_here("the manifest writes the domain in another way");
        }
        Self::write(&path, changed.as_bytes())?;
        Ok(Attempt::Broken(vec![Mend::Write { path, content }]))
    }

    /// The manifest with more at its end. What runs is what was wanted before.
    fn appended(&self, more: &str) -> Result<Attempt, Fault> {
        let path = self.manifest_path().to_owned();
        let content = Self::read(&path)?;
        Self::write(&path, &[&content, more.as_bytes()].concat())?;
        Ok(Attempt::Broken(vec![Mend::Write { path, content }]))
    }

    /// A file of the project that is made from the manifest, with a line more.
    fn edited(&self, path: &str, without: &str) -> Result<Attempt, Fault> {
        if !files::exists(&crate::world::project(self.manifest_path()).join(path)) {
            return not_here(without);
        }
        let path = self.own(path)?;
        let content = Self::read(&path)?;
        Self::write(&path, &[&content, b"\n# Edited by hand\n".as_slice()].concat())?;
        Ok(Attempt::Broken(vec![Mend::Write { path, content }]))
    }

    fn edited_workflow(&self) -> Result<Attempt, Fault> {
        let workflows = self.manifest().workflows();
        match workflows.iter().flat_map(ci::workflows::files).next() {
            Some(file) => self.edited(&file.path, "the workflow is missing"),
            None => not_here("the manifest makes no workflows"),
        }
    }

    async fn user_that_nobody_asked_for(&self) -> Result<Attempt, Fault> {
        if self.environment().mongodb.is_none() {
            return not_here("there is no MongoDB");
        }
        let conf = self.root().conf().join("mongodb/mongod.conf");
        let port = number_after(&String::from_utf8_lossy(&Self::read(&conf)?), "port:")?;
        let administrator = OwnUser::Administrator.client(&self.ground()?, port)?;
        let saboteur =
            doc! { "createUser": "saboteur", "pwd": "let me in", "roles": [], "mechanisms": ["SCRAM-SHA-256"] };
        let made = administrator.database("admin").run_command(saboteur).await;
        made.map_err(|error| Fault::because("cannot make a user of MongoDB", &error))?;
        Ok(Attempt::Broken(vec![Mend::Converge]))
    }

    async fn redis_that_drops_carts(&self) -> Result<Attempt, Fault> {
        const UNIT: &str = "redis";
        if self.environment().redis.is_none() {
            return not_here("there is no Redis");
        }
        let path = self.root().conf().join("redis/redis.conf");
        let text = String::from_utf8_lossy(&Self::read(&path)?).into_owned();
        let changed = text.replace("maxmemory-policy noeviction", "maxmemory-policy allkeys-lru");
        if changed == text {
            return not_here("Redis has another policy than noeviction");
        }
        Self::write(&path, changed.as_bytes())?;
        self.started_again(UNIT, "127.0.0.1:").await?;
        Ok(Attempt::Broken(vec![Mend::Converge]))
    }

    /// Starts a server anew, as a person would, and waits until it listens.
    async fn started_again(&self, unit: &str, before_port: &str) -> Result<(), Fault> {
        let pid = async || {
            let units = self.keeper().list().await.ok()?;
            let found = units.into_iter().find(|found| found.name == unit && found.state == UnitState::Running);
            found.and_then(|found| found.pid)
        };
        let before = pid().await.ok_or_else(|| Fault::new(format!("{unit} does not run")))?;
        let port = number_after(&host::process::table::command_line(before), before_port)?;
        self.keeper().restart(unit).await?;
        Self::wait(&format!("{unit} is started again and listens"), async || {
            pid().await.is_some_and(|now| now != before) && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })
        .await
    }

    async fn program_that_is_gone(&self) -> Result<Attempt, Fault> {
        let Some(word) = ground::first_words(self.environment()).next() else {
            return not_here("no app is started with a program of PATH");
        };
        let link = self.programs().join(word);
        let target = files::link_target(&link).map_err(|fault| cannot(&fault))?;
        let Some(target) = target else { return not_here("its apps are started with no program of its own") };
        let units = self.keeper().list().await?;
        let apps = units.into_iter().filter(|unit| unit.kind == UnitKind::App);
        files::remove(&link).map_err(|fault| cannot(&fault))?;
        let back = std::iter::once(Mend::Link { target, link });
        Ok(Attempt::Broken(back.chain(apps.map(|unit| Mend::Restart(unit.name))).collect()))
    }

    fn secret_in_a_log(&self) -> Result<Attempt, Fault> {
        let store = self.secrets()?;
        // Not what moves money: that is read by nobody who does not need it.
        let kept = |class: Class| class.is_sensitive() && class != Class::Payment;
        for variable in self.environment().variables.iter().filter(|variable| kept(variable.class)) {
            let name = SecretName::variable(variable.name.as_str());
            let held = store.get(&name).map_err(|fault| Fault::because("cannot read a secret", &fault))?;
            let Some(held) = held else { continue };
            let log = self.root().logs().join("sabotage.log");
            let line = format!("{{\"line\":\"signing with {}\"}}\n", held.secret.expose());
            Self::write(&log, line.as_bytes())?;
            return Ok(Attempt::Broken(vec![Mend::Remove(log)]));
        }
        not_here("no variable has its value in the secret store")
    }

    fn flipped_byte_in_a_backup(&self) -> Result<Attempt, Fault> {
        if self.environment().backup.is_none() {
            return not_here("nothing is backed up");
        }
        let packs = all_below(&self.root().path().join("backups/data"), 2)?;
        if packs.is_empty() {
            return not_here("the repository has no data in a folder");
        }
        let mut mends = Vec::new();
        // In each: one alone may be marked to go, and nobody misses it.
        for (_, path) in packs {
            let content = Self::read(&path)?;
            let mut flipped = content.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 1;
            Self::write(&path, &flipped)?;
            mends.push(Mend::Write { path, content });
        }
        Ok(Attempt::Broken(mends))
    }

    async fn app_that_is_shut(&self) -> Result<Attempt, Fault> {
        let teams = self.manifest().teams();
        let is_open = |app: &AppName| self.environment().app(app).is_some_and(|app| app.access == Access::Public);
        let Some((app, _)) = teams.iter().find(|(app, team)| *team == Team::Admin && is_open(app)) else {
            return not_here("no app of a team for what is protected elsewhere is open here");
        };
        let credentials_file = self.root().conf().join("sabotage.passwords");
        Self::write(&credentials_file, b"")?;
        let shut = SiteAccess::Protected { credentials_file: credentials_file.clone(), sign_in: None };
        self.publish(|table| {
            let sites = table.sites.iter_mut().filter(|site| site.app == app.as_str());
            sites.for_each(|site| site.access = shut.clone());
        })
        .await?;
        Ok(Attempt::Broken(vec![Mend::Converge, Mend::Remove(credentials_file)]))
    }
}

fn not_here(why: &str) -> Result<Attempt, Fault> {
    Ok(Attempt::NotHere(why.to_owned()))
}

/// Files with their sizes, so many folders down.
fn all_below(folder: &Path, depth: u8) -> Result<Vec<(u64, PathBuf)>, Fault> {
    let mut found = Vec::new();
    for path in files::list(folder).map_err(|fault| cannot(&fault))? {
        if !files::is_dir(&path) {
            found.push((files::metadata(&path).map_err(|fault| cannot(&fault))?.len(), path));
        } else if depth > 0 {
            found.extend(all_below(&path, depth - 1)?);
        }
    }
    Ok(found)
}

/// The number that follows `mark`.
fn number_after(text: &str, mark: &str) -> Result<u16, Fault> {
    let rest = text.split_once(mark).map(|(_, rest)| rest.trim_start());
    let digits = rest.and_then(|rest| rest.split(|other: char| !other.is_ascii_digit()).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Fault::new(format!("there is no number behind {mark:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_behind_its_mark() {
        assert_eq!(number_after("net:\n  port: 27017\n", "port:").unwrap(), 27017);
        assert!(number_after("net:\n", "port:").is_err());
    }
}
