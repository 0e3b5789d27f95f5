//! Limits on the way of a request: before anything of it is read, and on its answer.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Response};

use super::gcra::Verdict;
use super::login::{Login, Reported};
use super::rules::Class;
use super::{Decision, Judge, fields};
use crate::abuse::Standing;
use crate::body::Body;
use crate::connection::{Door, Visitor};
use crate::edge::Edge;
use crate::guard::Asked;
use crate::log::{Entry, Limited};
use crate::refusal::Refusal;
use crate::snapshot::{Site, Snapshot};

/// What a request that was let in has of its limit.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    class: &'a Class,
    decision: Decision,
    client: IpAddr,
}

/// Lets a request in, or answers it. Apps among themselves and whoever looks at a candidate are not limited.
pub async fn enter<'a>(
    edge: &Arc<Edge>,
    visitor: &Visitor,
    (snapshot, site): (&'a Snapshot, &Site),
    (parts, asked): (&Parts, &Asked),
    (standing, id): (Standing, &HeaderValue),
    entry: &mut Entry,
) -> Result<Option<Passage<'a>>, Response<Body>> {
    if visitor.door != Door::Https {
        return Ok(None);
    }
    let Some(at) = site.limited.class(&parts.method, asked.target.path()) else { return Ok(None) };
    let class = &snapshot.rules.classes[at];
    // A search engine has a limit of its own in place of the usual one; what guards accounts and money guards them from it too.
    let own = snapshot.abuse.as_ref().and_then(|abuse| abuse.crawler_class.as_ref());
    let class = own.filter(|_| standing == Standing::Crawler && class.is_default()).unwrap_or(class);
    entry.route(&class.name);
    let decision = edge.limiter.judge(class, asked.client, &parts.headers, edge.clock.instant()).await;
    match decision.verdict {
        Verdict::Denied { wait } => {
            note(entry, class, decision);
            if class.shadow {
                return Ok(None);
            }
            let is_own = matches!(decision.rule, super::Rule::Own);
            Err(fields::refusal(&class.name, is_own.then_some(&class.policy), wait, id))
        }
        Verdict::Allowed { .. } => {
            if decision.judge == Judge::FellBack {
                note(entry, class, decision);
            }
            Ok(Some(Passage { class, decision, client: asked.client }))
        }
    }
}

/// What an app said of a login goes no further. Says how much is left, or refuses what the app has answered.
pub async fn leave(
    edge: &Arc<Edge>,
    passage: Option<Passage<'_>>,
    mut response: Response<Body>,
    id: &HeaderValue,
    entry: &mut Entry,
) -> Response<Body> {
    let reported = Reported::take(response.headers_mut());
    let Some(Passage { class, decision, client }) = passage else { return response };
    if let Some(reported) = reported {
        match edge.limiter.login(class, &reported, client, edge.clock.instant()).await {
            Login::Passes => {}
            Login::Later(delay) => tokio::time::sleep(delay).await,
            Login::Refused(refused) => {
                note(entry, class, refused);
                if let (false, Verdict::Denied { wait }) = (class.shadow, refused.verdict) {
                    entry.refused(Refusal::AskedTooOften);
                    // Without a policy: how much an account has left is told to nobody who only claims to be it.
                    return fields::refusal(&class.name, None, wait, id);
                }
            }
        }
    }
    if let (false, Verdict::Allowed { debt }) = (class.shadow, decision.verdict) {
        // The default one is news from its half on: until then it would be a hundred bytes on every picture.
        if !class.is_default() || class.quota.remaining(debt) * 2 < class.quota.burst {
            fields::tell(response.headers_mut(), &class.name, &class.policy, class.quota, debt);
        }
    }
    response
}

fn note(entry: &mut Entry, class: &Class, decision: Decision) {
    let outcome = match (decision.verdict, class.shadow) {
        (Verdict::Denied { .. }, false) => "refused",
        (Verdict::Denied { .. }, true) => "would-refuse",
        (Verdict::Allowed { .. }, _) => "fell-back",
    };
    entry.limited(Limited { class: class.name.clone(), rule: decision.rule.as_str(), outcome });
}
