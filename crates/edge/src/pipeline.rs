//! The life of a request, in the order things happen.
//!
//! ```text
//!   request id, trace ─► guard ─► challenge of an authority ─► abuse ─► route ─► reports of pages ─► rate limit ─► challenge ─► access (or its door)
//!     ─► config.json │ files │ cache, forward ─► headers ─► log
//! ```

use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use reconcile::ports::RELEASE_HEADER;

use crate::abuse::{self, Standing, robots};
use crate::access::door;
use crate::body::{Body, Malformed, Recorded};
use crate::connection::{Door, Visitor};
use crate::drain::Phase;
use crate::edge::Edge;
use crate::forward::Exchange;
use crate::log::{Entry, Judged};
use crate::rate_limit::passage;
use crate::refusal::{After, Refusal};
use crate::route::Route;
use crate::snapshot::Target;
use crate::trace::Trace;
use crate::{access, cache, compress, console, files, forward, guard, headers, pages, request_id, route, trace};

/// Answers one request. Whatever happens, there is an answer, and a line in the access log when its last byte is gone.
pub async fn answer(edge: Arc<Edge>, visitor: Arc<Visitor>, request: Request<Incoming>) -> Response<Recorded> {
    let open = visitor.open_request();
    let id = request_id::accept_or_make(request.headers(), edge.clock.now());
    let trace = trace::accept_or_make(request.headers());
    let mut entry = Entry::begin(&edge, &visitor, &request, (&id, &trace));
    let version = request.version();
    let taste = pages::Taste::of(request.headers());

    let outcome = reply(&edge, &visitor, request, (&id, &trace), &mut entry).await;
    let (mut response, after) = match outcome {
        Ok(response) => (response, After::KeepOpen),
        Err(refusal) => {
            entry.refused(refusal);
            let page = pages::refusal(refusal, &id, taste);
            let is_malformed = version == Version::HTTP_2 && refusal.is_malformed();
            (if is_malformed { Malformed::answer(page) } else { page }, refusal.after())
        }
    };

    response.headers_mut().insert(request_id::HEADER, id);
    // On every answer, redirects and refusals too: the list that browsers are shipped with asks the bare domain.
    headers::promise_https(response.headers_mut(), &visitor, &edge.serving.load());
    let is_leaving = after == After::Close || edge.watch.phase() >= Phase::LameDuck;
    if is_leaving && version <= Version::HTTP_11 && response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Recorded::wrap(response, entry, open)
}

async fn reply(
    edge: &Arc<Edge>,
    visitor: &Arc<Visitor>,
    request: Request<Incoming>,
    (id, trace): (&HeaderValue, &Trace),
    entry: &mut Entry,
) -> Result<Response<Body>, Refusal> {
    // One meaning only, on the wire and in the parsed request.
    if let Some(inspection) = &visitor.inspection {
        inspection.next()?;
    }
    let (mut parts, body) = request.into_parts();
    let mut asked = guard::check(&parts, visitor, &edge.limits)?;
    // One world: routes may change while this request runs, but not under its feet.
    let serving = edge.serving.load_full();
    if let Some(proxies) = serving.proxies() {
        asked.client = proxies.client(asked.client, &parts.headers);
    }
    entry.asked(&asked);

    // Before the redirect, before any route: the authority asks because there is no certificate yet.
    if visitor.door == Door::Http
        && let Some(answer) = edge.proofs.over_http(asked.target.path())
    {
        return Ok(pages::proof(answer));
    }

    let snapshot = serving.snapshot()?;
    let standing = abuse::enter(edge, visitor, snapshot, (&parts, &asked), entry)?;
    let site = match route::find(snapshot, visitor, &asked)? {
        Route::Site(site) => site,
        Route::Elsewhere(location) => return Ok(pages::redirect(&location)),
    };
    entry.app(&site.app, site.release.as_ref());

    // A page that fails for a visitor says so whatever its site asks of visitors: it learns nothing by it, and whoever takes
    // reports has limits of his own.
    if let Some(pool) = snapshot.telemetry_for(asked.target.path()) {
        headers::toward_app(&mut parts.headers, &asked, visitor, (id, trace));
        return forward::forward(edge, Some(visitor), pool, Exchange::new(parts, body, asked.target, None), entry)
            .await;
    }

    // Before passwords are tried, and before anything of a body is read.
    let of_site = (snapshot, site.as_ref());
    let passage = match passage::enter(edge, visitor, of_site, (&parts, &asked), (standing, id), entry).await {
        Ok(passage) => passage,
        Err(refusal) => {
            entry.refused(Refusal::AskedTooOften);
            return Ok(refusal);
        }
    };
    // Over the machine's own loopback apps call each other without TLS.
    if let Some(authorities) = &site.clients
        && matches!(visitor.door, Door::Https | Door::Candidate)
        && !authorities.know(visitor.client.as_ref())
    {
        return Err(Refusal::NoClientCertificate);
    }

    if let Some(rules) = snapshot.abuse.as_ref().filter(|_| standing == Standing::Usual)
        && rules.challenges_of(&site.app)
    {
        let (challenges, now) = (&edge.abuse.challenges, edge.clock.now());
        if let Some(answer) = challenges.answer(&parts, &asked, id, now) {
            return Ok(answer);
        }
        let bits = rules.challenge(&site.app, &parts.method, asked.target.path());
        if let Some(bits) = bits.filter(|_| !challenges.has_passed(&parts, &asked, now)) {
            let outcome = if rules.enforce { "refused" } else { "would-refuse" };
            entry.judged(Judged { rule: "challenge", outcome, about: None });
            if rules.enforce {
                entry.refused(Refusal::Unproven);
                return Ok(challenges.ask(&asked, bits, id, now));
            }
        }
    }

    // Who may not see the site does not see what is missing on it either.
    let (admitted, now) = (edge.admissions.now(), edge.clock.now());
    let who = match site.access.protected() {
        None => access::Who::Anybody,
        Some(protected) => {
            let visit = door::Visit { protected, admitted: &admitted, control: &edge.control, id, now };
            if visitor.door == Door::Https && asked.target.path().starts_with(door::DOOR) {
                return visit.answer(&parts, body, &asked, entry).await;
            }
            match access::admit(&site.access, &admitted, (&parts, &asked), visitor, now) {
                Ok(who) => who,
                Err(refusal) => {
                    entry.refused(refusal);
                    return visit.ask(&parts, &asked, refusal);
                }
            }
        }
    };
    if let Some(user) = who.name() {
        entry.user(user);
    }
    if visitor.door == Door::Https {
        edge.arrivals.count_one();
    }

    // A static build is the same in every environment; what differs is asked for here.
    if let Some(config) = site.config_for(&parts.method, asked.target.path()) {
        return Ok(pages::json(config.clone()));
    }

    // What a page that is still open asks for by its name with a digest, whatever release serves by now.
    for (folder, path) in site.kept_for(&parts.method, asked.target.path()) {
        if let Ok(found) = files::serve(folder, &parts.method, &parts.headers, path).await {
            return Ok(found);
        }
    }

    // Served here, so that no instance has to know the keys of the others, and all of them change at once.
    if let Some((keys, max_age)) = site.key_set_for(&parts.method, asked.target.path()) {
        return Ok(pages::key_set(keys.clone(), *max_age));
    }

    let honeypot = snapshot.abuse.as_ref().and_then(|rules| rules.scanners.as_ref()?.honeypot.as_deref());
    let honeypot = honeypot.filter(|_| robots::is_asked_for(&mut parts, asked.target.path()));
    let mut response = match &site.target {
        Target::Files(folder) => match files::serve(folder, &parts.method, &parts.headers, asked.target.path()).await {
            Err(Refusal::NotFound) if honeypot.is_some() => robots::none(),
            served => served?,
        },
        // Not compressed: its pages hold a secret of the session beside what was asked for.
        Target::Console => console::answer(&edge.control, (&parts, body), &asked, &who).await?,
        Target::Instances(pool) => {
            let upgrade = forward::upgrade_of(&mut parts, pool);
            let wish = compress::Wish::of(&parts.method, &parts.headers);
            headers::toward_app(&mut parts.headers, &asked, visitor, (id, trace));
            who.tell(&mut parts.headers);
            let place = cache::Place::of(snapshot, &site, visitor, &asked);
            let exchange = Exchange::new(parts, body, asked.target, upgrade);
            let answer = match place {
                Some(place) => cache::answer(edge, visitor, (&site, pool), place, exchange, entry).await?,
                None => forward::forward(edge, Some(visitor), pool, exchange, entry).await?,
            };
            // Between apps on one machine it would be work for nothing.
            if matches!(visitor.door, Door::Internal(_)) { answer } else { compress::answer(answer, &wish) }
        }
    };
    if let Some(honeypot) = honeypot {
        response = robots::with_honeypot(response, honeypot).await;
    }
    site.add_headers(response.headers_mut());
    if site.access.protected().is_some() {
        access::keep_private(response.headers_mut());
    }
    if let Some(release) = &site.release {
        response.headers_mut().insert(RELEASE_HEADER, release.clone());
    }
    Ok(passage::leave(edge, passage, response, id, entry).await)
}
