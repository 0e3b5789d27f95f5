//! Logins that fail: the app says for whom, since only it has read that, and it is counted here.
//!
//! An app says with its answer how a login ended (`Roadbed-Login: failed ada%40shop.example`); the header goes no further. Failures
//! for one account from one client have a budget. Once it is spent, that client is told so whatever the app said, so a right guess
//! looks like a wrong one. Everybody else, the owner of the account too, is let in as before: nobody locks another one out. Where
//! an account fails from everywhere, answers about it take longer, right or wrong, and none is refused.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use reconcile::rate_limits::LOGIN_HEADER;

use super::gcra::Verdict;
use super::identity::Identity;
use super::rules::{Class, Failures};
use super::{Asked, Decision, Limiter, Rule};

pub const HEADER: HeaderName = HeaderName::from_static(LOGIN_HEADER);

/// Longest name of an account: an e-mail address has 254 letters, three times as many when each is escaped.
const LONGEST: usize = 768;

/// How much longer an answer takes about an account that fails from everywhere.
const DELAY: Duration = Duration::from_secs(2);

/// How a login ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    account: String,
    has_failed: bool,
}

impl Reported {
    /// Takes it out of an app's answer. What is not written as it should be is no report.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let value = headers.remove(HEADER)?;
        let (outcome, account) = value.to_str().ok()?.split_once(' ')?;
        let has_failed = match outcome {
            "failed" => true,
            "passed" => false,
            _ => return None,
        };
        let is_name = !account.is_empty() && account.len() <= LONGEST && !account.contains(' ');
        // One account in two cases is one account.
        is_name.then(|| Self { account: account.to_ascii_lowercase(), has_failed })
    }
}

/// What becomes of an answer about a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Passes,
    /// Whatever it says, it waits so long.
    Later(Duration),
    /// Whatever it says, the client has failed too often.
    Refused(Decision),
}

impl Limiter {
    /// Counts a login that failed, and decides of the answer to any.
    pub async fn login(&self, class: &Class, reported: &Reported, client: IpAddr, now: Instant) -> Login {
        let Some(Failures { from_one_client, of_an_account }) = class.failures else { return Login::Passes };
        let cost = u64::from(reported.has_failed);
        let identity = Identity::account_from(&reported.account, client);
        let own = Asked { identity, quota: from_one_client, rule: Rule::Failures, cost };
        let decision = self.decide(class, &(own, None), now).await;
        if let Verdict::Denied { .. } = decision.verdict {
            return Login::Refused(decision);
        }
        // Of an edge's own knowledge: it takes no more than a moment from anybody.
        let account = Identity::account(&reported.account);
        let told = self.state(&class.name).accounts.take(&account, of_an_account, self.micros(now), cost);
        match told.verdict {
            Verdict::Allowed { .. } => Login::Passes,
            Verdict::Denied { .. } => Login::Later(DELAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_says_of_a_login_goes_no_further() {
        let taken = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, value.parse().unwrap());
            let reported = Reported::take(&mut headers);
            assert!(headers.is_empty(), "{value}");
            reported.map(|reported| (reported.account, reported.has_failed))
        };
        assert_eq!(taken("failed Ada%40Shop.example"), Some(("ada%40shop.example".to_owned(), true)));
        assert_eq!(taken("passed ada"), Some(("ada".to_owned(), false)));
        for odd in ["failed", "failed ", "maybe ada", "failed a b", &format!("failed {}", "a".repeat(800))] {
            assert_eq!(taken(odd), None, "{odd}");
        }
    }
}
