//! From what was seen to what is to be done.

use std::fmt;

use super::look::Observed;

/// One effect on somebody else's Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    MakeCredentials,
    PutUser { name: String, because: &'static str },
    RemoveUser { name: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeCredentials => f.write_str("make missing credentials"),
            Self::PutUser { name, because } => write!(f, "set the user {name} on the external server ({because})"),
            Self::RemoveUser { name } => {
                write!(f, "remove the user {name} from the external server: nobody asks for it")
            }
        }
    }
}

/// Pure. New users first: nobody is locked out in between.
pub(super) fn plan(seen: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    if !seen.has_credentials {
        steps.push(Step::MakeCredentials);
    }
    steps.extend(seen.put.iter().map(|(name, because)| Step::PutUser { name: name.clone(), because }));
    steps.extend(seen.take_away.iter().map(|name| Step::RemoveUser { name: name.clone() }));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_provider_can_change_is_no_step() {
        let seen = Observed { has_credentials: true, otherwise: vec!["full".to_owned()], ..Observed::default() };
        assert_eq!(plan(&seen), []);
    }
}
