//! What browsers are told with every answer of an app that does not say it itself: what may be done with a page, and who may find
//! it. The names and what they do are in the "OWASP Secure Headers Project".

use std::collections::BTreeMap;

use manifest::Environment;
use manifest::environment::{Access, App, Serves};

/// Whatever it is: taken for what it says it is, and for nothing else.
const ANY: [(&str, &str); 1] = [("x-content-type-options", "nosniff")];

const PAGES: [(&str, &str); 4] = [
    // A checkout in somebody else's frame is a click that was not meant.
    ("x-frame-options", "SAMEORIGIN"),
    // Another site is told where a visitor comes from, not what he looked at.
    ("referrer-policy", "strict-origin-when-cross-origin"),
    // What a payment provider opens may still answer.
    ("cross-origin-opener-policy", "same-origin-allow-popups"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), browsing-topics=()"),
];

const DATA: [(&str, &str); 3] = [
    // Should a browser show it after all, nothing in it runs.
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-site"),
];

/// A search engine that finds a preview sends customers there.
const UNLISTED: (&str, &str) = ("x-robots-tag", "noindex, nofollow");

/// The headers of every answer of `app`, by name.
pub(super) fn of(app: &App, environment: &Environment) -> BTreeMap<String, String> {
    let of_kind: &[(&str, &str)] = match app.serves {
        Serves::Pages => &PAGES,
        Serves::Data => &DATA,
        Serves::Other => &[],
    };
    let any: &[(&str, &str)] = if app.serves == Serves::Other { &[] } else { &ANY };
    let is_listed = environment.listed && app.access == Access::Public;
    let unlisted = (!is_listed).then_some(&UNLISTED);
    any.iter().chain(of_kind).chain(unlisted).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use manifest::{EnvRef, Source};

    use super::*;

    fn headers(environment: &str, app: &str) -> BTreeMap<String, String> {
        let text = include_str!("../../../../roadbed.toml");
        let (manifest, _) = manifest::parse(&Source::new("roadbed.toml", text));
        let environment = manifest.unwrap().resolve(&environment.parse::<EnvRef>().unwrap()).unwrap();
        of(environment.apps.iter().find(|one| one.name.as_str() == app).unwrap(), &environment)
    }

    #[test]
    fn pages_are_not_framed_and_data_runs_nothing() {
        let storefront = headers("production", "storefront");
        assert_eq!(storefront["x-frame-options"], "SAMEORIGIN");
        assert!(!storefront.contains_key("content-security-policy"), "a page's own scripts would be refused");
        assert!(headers("production", "api")["content-security-policy"].starts_with("default-src 'none'"));
    }

    #[test]
    fn search_engines_find_what_customers_are_meant_to_find_and_nothing_else() {
        assert!(!headers("production", "storefront").contains_key("x-robots-tag"));
        for (environment, app) in [("production", "admin"), ("staging", "storefront"), ("preview/pr-7", "api")] {
            assert_eq!(headers(environment, app)["x-robots-tag"], "noindex, nofollow", "{environment} {app}");
        }
    }
}
