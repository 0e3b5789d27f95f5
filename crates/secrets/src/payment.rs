//! Which payment keys an environment may hold. Whoever opens a pull request runs code in its preview: nothing there moves money.

use manifest::{Rule, environment::Class};

use crate::seat::EnvironmentKind;

/// How the best known providers begin keys that move money.
const LIVE: [&str; 3] = ["sk_live_", "rk_live_", "pk_live_"];

/// A value of a variable, and what the manifest says of it.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    pub class: Class,
    /// What the value must be, where the manifest declares it.
    pub rule: Option<&'a Rule>,
}

impl From<Class> for Writing<'_> {
    fn from(class: Class) -> Self {
        Self { class, rule: None }
    }
}

impl Writing<'_> {
    /// Whether the manifest says that the value is one for tests, and the value is one.
    fn is_declared_for_tests(&self, value: &str) -> bool {
        self.rule.is_some_and(|rule| rule.is_for_tests() && rule.check(value).is_ok())
    }
}

/// Why a value must not be in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("it looks like a key that moves money, and only production may hold one")]
    Live,
    #[error("a value of class payment is kept here only if `match` in the manifest says that it is one for tests")]
    Undeclared,
}

/// Whether a text has a key of one of the best known providers in it that moves money. Anywhere: a key may be part of a URL or a
/// document.
pub fn looks_live(text: &str) -> bool {
    LIVE.iter().any(|beginning| text.contains(beginning))
}

/// Whether `value` may be kept in an environment of this kind.
pub(crate) fn allows(kind: EnvironmentKind, writing: Writing<'_>, value: &str) -> Result<(), Forbidden> {
    if kind == EnvironmentKind::Production {
        return Ok(());
    }
    if looks_live(value) {
        return Err(Forbidden::Live);
    }
    let is_free = matches!(kind, EnvironmentKind::Preview | EnvironmentKind::Local);
    if writing.class == Class::Payment && is_free && !writing.is_declared_for_tests(value) {
        return Err(Forbidden::Undeclared);
    }
    Ok(())
}

/// Whether two environments may hold the same value: previews of one kind are made of the same things, and no two others are.
pub(crate) fn may_share(ours: &str, theirs: &str) -> bool {
    let template = |name: &str| name.split_once('/').map(|(template, _)| template.to_owned());
    template(ours).is_some_and(|ours| Some(ours) == template(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use EnvironmentKind::{Local, Preview, Production, Staging};

    #[test]
    fn a_key_that_moves_money_is_for_production_alone() {
        // Assembled, so that nobody's scanner takes this file for a leak.
        let live = LIVE.map(|beginning| format!("https://x?key={beginning}{}", "4eC39HqLyjWDarjt"));
        for value in &live {
            assert_eq!(allows(Production, Class::Payment.into(), value), Ok(()));
            for kind in [Staging, Preview, Local] {
                for class in [Class::Payment, Class::Secret, Class::Internal] {
                    assert_eq!(allows(kind, class.into(), value), Err(Forbidden::Live), "{kind:?} {class}");
                }
            }
        }
    }

    #[test]
    fn previews_share_among_themselves_alone() {
        assert!(may_share("preview/pr-1", "preview/pr-2"));
        for (ours, theirs) in [
            ("production", "staging"),
            ("preview/pr-1", "production"),
            ("local", "staging"),
            ("preview/pr-1", "branch/x"),
        ] {
            assert!(!may_share(ours, theirs), "{ours} {theirs}");
        }
    }
}
