//! Networks that are kept out, and those that never are.

use std::sync::Arc;

use edge::abuse::lists::{self, Listed, MOST, Verdict};
use host::clock::Timestamp;
use ipnet::IpNet;
use reconcile::Fault;
use secrets::audit::Action;
use serde::{Deserialize, Serialize};

use super::{broken, record, telling, wanted_of};
use crate::control::Control;
use crate::control::lending::Peer;

/// What is to be said of a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToList {
    pub network: String,
    /// `None`: nothing any more.
    pub verdict: Option<Verdict>,
    /// For how long, in seconds; `None`: until it is taken from the list.
    pub seconds: Option<u64>,
    pub reason: String,
    pub by: String,
}

/// One network, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub listed: Listed,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What is said of networks, the oldest first.
pub fn shown(control: &Control) -> Result<Vec<Shown>, Fault> {
    let listed = control.access.book.listed(control.clock.now()).map_err(|fault| broken(&fault))?;
    let until = |listed: &Listed| listed.until_ms.map(|ms| Timestamp::from_unix_millis(ms).to_string());
    Ok(listed.into_iter().map(|(listed, by)| Shown { until: until(&listed), listed, by }).collect())
}

/// Says something of a network, or nothing any more, and tells the edge at once.
pub async fn list(control: &Arc<Control>, ask: &ToList, peer: Peer) -> Result<Vec<Shown>, Fault> {
    const HEADLINE: &str = "cannot change who is kept out";
    let cannot = |why: String| Fault::new(HEADLINE).cause(why);
    let network = lists::read(&ask.network).map_err(|why| {
        cannot(why.to_string()).hint("write an address such as 203.0.113.7, or a network such as 203.0.113.0/24")
    })?;
    let (_, environment) = wanted_of(control, HEADLINE)?;
    let now = control.clock.now();
    let book = &control.access.book;
    let details = match ask.verdict {
        None => {
            if !book.strike(&network.to_string()).map_err(|fault| broken(&fault))? {
                return Err(cannot(format!("{network} is on no list")).hint("`roadbed edge list` shows what is"));
            }
            format!("nothing is said of {network} any more")
        }
        Some(verdict) => {
            if verdict != Verdict::Allow {
                let proxies: Vec<IpNet> = environment.network.proxies.clone();
                lists::may_be_blocked(network, &proxies)
                    .map_err(|why| cannot(why.to_string()).hint("name the network that visitors come from"))?;
            }
            if ask.reason.chars().count() > 200 || ask.reason.chars().any(char::is_control) {
                return Err(cannot("the reason is too long, or no text".to_owned()).hint("write a sentence"));
            }
            let count = book.listed(now).map_err(|fault| broken(&fault))?.len();
            if count >= MOST {
                return Err(cannot(format!("{MOST} networks are listed")).hint("`roadbed edge unblock` takes one away"));
            }
            let until_ms = match ask.seconds {
                None => None,
                Some(seconds) => {
                    let ms = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
                    Some(
                        ms.and_then(|ms| now.unix_millis().checked_add(ms))
                            .ok_or_else(|| cannot("that is too long".to_owned()))?,
                    )
                }
            };
            let listed = Listed { network: network.to_string(), verdict, until_ms, reason: ask.reason.clone() };
            book.list(&listed, &ask.by, now).map_err(|fault| broken(&fault))?;
            let until = until_ms.map_or_else(String::new, |ms| format!(" until {}", Timestamp::from_unix_millis(ms)));
            let word = match verdict {
                Verdict::Block => "kept out",
                Verdict::ShadowBlock => "looked at as if it were kept out",
                Verdict::Allow => "never kept out",
            };
            format!("{network} is {word}{until}: {}", ask.reason)
        }
    };
    let told = telling::tell_now(control).await;
    record::by_operator(control, Action::NetworkListed, &ask.by, peer, "edge/lists".to_owned(), details).await?;
    told.map_err(|fault| {
        Fault::because("it is in the book, and the edge does not know yet", &fault)
            .hint("the edge is told as soon as it answers; `roadbed status` shows whether it runs")
    })?;
    shown(control)
}
