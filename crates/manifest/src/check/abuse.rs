//! Challenges where nobody could answer them, and paths that hide nothing.

use super::known_app;
use crate::abuse::ChallengeTable;
use crate::environment::Serves;
use crate::findings::Findings;
use crate::tables::{Document, Kind};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (_, table) in document.environments.in_order() {
        let Some(abuse) = &table.abuse else { continue };
        let abuse = &abuse.value;
        for challenge in &abuse.challenges {
            if known_app(&challenge.app.value, challenge.app.span, document, findings) {
                refuse_programs(challenge, document, findings);
            }
        }
        if let (Some(burst), None) = (&abuse.crawler_burst, &abuse.crawler_rate) {
            findings.error(burst.span, "so many at once, of no rate").hint("add crawler_rate = \"10/s\"");
        }
        if let Some(honeypot) = &abuse.honeypot {
            if !abuse.scanners.value {
                findings.error(honeypot.span, "nobody looks who asks for it").hint("remove scanners = false");
            }
            if honeypot.0 == "/" || honeypot.0.contains(['?', '*']) {
                findings
                    .error(honeypot.span, "visitors would ask for it")
                    .hint("write a path that no page links, such as \"/private-offers/\"");
            }
            let of_health = document
                .apps
                .iter()
                .find(|(_, app)| health(app).iter().any(|path| path.starts_with(honeypot.0.as_str())));
            if let Some((app, _)) = of_health {
                findings
                    .error(honeypot.span, format!("whoever looks whether {} lives asks for it", app.value))
                    .hint("write a path that no page links, such as \"/private-offers/\"");
            }
        }
    }
}

/// A program solves no challenge: what programs call is never behind one.
fn refuse_programs(challenge: &ChallengeTable, document: &Document, findings: &mut Findings) {
    let Some(app) = document.apps.get(&challenge.app.value) else { return };
    let (name, path) = (&challenge.app.value, challenge.path.0.as_str());
    let hint = "challenges are for pages that people look at: name those alone";
    if app.serves == Serves::Data {
        findings
            .error(
                challenge.app.span,
                format!("{name} serves data, and no program that asks for it solves a challenge"),
            )
            .hint(hint);
        return;
    }
    if let Some(health) = health(app).iter().find(|health| overlap(path, health)) {
        findings
            .error(challenge.path.span, format!("{health} is asked for by who looks whether {name} lives"))
            .hint(hint);
    }
    for (class, limits) in document.rate_limits.classes() {
        if !matches!(class, "webhook" | "payment" | "auth") {
            continue;
        }
        let route = limits.routes.iter().find(|route| route.app.value == *name && overlap(path, &route.path.0));
        if let Some(route) = route {
            let why = match class {
                "webhook" => "other systems call it",
                "payment" => "who comes back from paying must not be stopped",
                _ => "a form that is sent there would be lost",
            };
            findings
                .error(challenge.path.span, format!("{} of {name} is of the class {class}: {why}", route.path.0))
                .hint(hint);
        }
    }
}

fn health(app: &crate::tables::AppTable) -> Vec<String> {
    if app.kind == Kind::Static {
        return Vec::new();
    }
    let path = |own: Option<&crate::source::At<crate::scalars::UrlPath>>, usual: &str| {
        own.map_or_else(|| usual.to_owned(), |path| path.0.clone())
    };
    vec![path(app.health.as_ref(), "/health"), path(app.ready.as_ref(), "/ready")]
}

/// Whether one path may be of both patterns. `*` is one part, and at the end all that is below.
fn overlap(one: &str, other: &str) -> bool {
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (parts(one), parts(other));
    let mut at = 0;
    loop {
        let ends = |parts: &[String]| parts.len() == at + 1 && parts[at] == "*";
        match (one.get(at), other.get(at)) {
            (None, None) => return true,
            _ if ends(&one) || ends(&other) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => at += 1,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn patterns_overlap_where_one_path_is_of_both() {
        for (one, other) in [
            ("/", "/"),
            ("/*", "/health"),
            ("/health", "/*"),
            ("/pay/*", "/pay/return"),
            ("/a/*/c", "/a/b/c"),
            ("/*", "/a/b"),
        ] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in
            [("/", "/health"), ("/search", "/health"), ("/a/*/c", "/a/b/d"), ("/a", "/a/b"), ("/p", "/pay")]
        {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
