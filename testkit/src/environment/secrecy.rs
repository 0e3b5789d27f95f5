//! That what is secret in an environment comes up nowhere: a value of its own at the beginning, a search at the end.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DEADLINE, Environment};
use crate::marker::{self, Left};
use crate::{project, vault};

/// The payment key, which every environment of UrbanCart has that may have one: a value that only this test knows.
const MARKED: &str = "PAYMENT_SECRET_KEY";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marking {
    /// Before the first `up`.
    Due,
    /// It was done, or the test does without.
    Over,
}

impl Environment {
    pub(super) fn remember(&self, name: &str, value: &str) {
        self.secrets.lock().unwrap().push((name.to_owned(), value.to_owned()));
    }

    /// Gives UrbanCart a payment key of its own, once, where there may be one.
    pub(super) fn mark(&self, args: &[&str]) {
        let marking = std::mem::replace(&mut *self.marking.lock().unwrap(), Marking::Over);
        let is_set = self.secrets.lock().unwrap().iter().any(|(name, _)| name == MARKED);
        let manifest = fs::read_to_string(self.project.join("roadbed.toml")).unwrap_or_default();
        let said =
            self.flags.iter().map(String::as_str).chain(args.iter().copied()).skip_while(|word| *word != "--env");
        let environment = said.clone().nth(1).unwrap_or("local");
        let may_have_one = manifest.contains("name = \"urbancart\"") && !environment.contains('/');
        if marking == Marking::Over || is_set || !may_have_one {
            return;
        }
        let begins = if environment == "production" { "sk_live_" } else { "sk_test_" };
        let random = secrets::generate::credential().unwrap();
        let value = format!("{begins}{}", &random.expose()[..24]);
        let mut words = vec!["secrets", "set", MARKED];
        if !self.flags.iter().any(|flag| flag == "--env") {
            words.extend(said.take(2));
        }
        let _ = self.roadbed_with(DEADLINE, &words, &value).expect(0);
        self.remember(MARKED, &value);
    }

    /// What it was given and what it made, searched for in what it wrote, what it built and what commands said.
    pub(super) fn secrets_stayed_secret(&self) {
        if std::thread::panicking() {
            return;
        }
        let [state, config] =
            ["XDG_STATE_HOME", "XDG_CONFIG_HOME"].map(|name| Path::new(&self.variables[name]).join("roadbed"));
        let mut values = self.secrets.lock().unwrap().clone();
        values.extend(vault::secret_variables(&self.root, state, config));
        let shown = self.shown.lock().unwrap();
        let is_shown =
            |name: &str| shown.iter().any(|shown| name.trim_start_matches("var/").starts_with(shown.as_str()));
        values.retain(|(name, _)| !is_shown(name));
        let built = project::built(&self.project).into_iter().chain(self.cache()).collect::<Vec<_>>();
        let said = self.said.lock().unwrap();
        let left = Left { folder: self.folder.path(), built: &built, begun: self.begun, said: &said };
        let found = marker::found(&values, &left);
        assert!(found.is_empty(), "a secret came up:\n{}", found.join("\n"));
    }

    /// What is shared by all environments of this user.
    fn cache(&self) -> Option<PathBuf> {
        let home = || Some(Path::new(self.variables.get("HOME")?).join(".cache"));
        let cache = self.variables.get("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(cache.join("roadbed"))
    }
}
