//! Whether what began at one instance goes on at the other.

use std::collections::BTreeMap;

use gate::{Findings, Outcome};

use super::Pair;
use super::ask::{Said, Visit, ask};

/// Begins at the first instance with every visit, and asks both how it goes on.
pub(crate) async fn session(pair: &Pair) -> Outcome {
    let mut findings = Findings::default();
    let mut cookies = BTreeMap::new();
    let [first, second] = &pair.instances;
    for visit in &pair.visits {
        match ask(first.port, &pair.host, visit, &cookies).await {
            Ok(said) if said.status >= 500 => {
                findings.bad(format!("{visit} at {}: status {}", first.name, said.status))
            }
            Ok(said) => cookies.extend(said.cookies),
            Err(why) => findings.bad(format!("{visit} at {}: {why}", first.name)),
        }
    }
    match cookies.keys().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => findings.good("no cookie is given at the pages that were asked for; requests without one are compared"),
        ref names => findings.good(format!("{} gave the cookies {}", first.name, names.join(", "))),
    }
    for visit in pair.visits.iter().filter(|visit| visit.only_looks()) {
        let here = ask(first.port, &pair.host, visit, &cookies).await;
        let again = ask(first.port, &pair.host, visit, &cookies).await;
        let there = ask(second.port, &pair.host, visit, &cookies).await;
        match (here, again, there) {
            (Ok(here), Ok(again), Ok(there)) => match differs(pair, visit, &cookies, [&here, &again, &there]) {
                Ok(good) => findings.good(good),
                Err(bad) => findings.bad(bad),
            },
            (here, again, there) => {
                let why = [here.err(), again.err(), there.err()].into_iter().flatten().next().unwrap_or_default();
                findings.bad(format!("{visit}: {why}"));
            }
        }
    }
    findings.outcome()
}

/// Compares what both say to the same cookie.
fn differs(
    pair: &Pair,
    visit: &Visit,
    cookies: &BTreeMap<String, String>,
    [here, again, there]: [&Said; 3],
) -> Result<String, String> {
    let [first, second] = &pair.instances;
    if here.status != there.status {
        return Err(format!("{visit}: {} says {}, and {} says {}", first.name, here.status, second.name, there.status));
    }
    // Whoever knows a session may give its cookie again; who gives another does not know it.
    let anew = |said: &Said| {
        said.cookies
            .iter()
            .find(|(name, value)| cookies.get(*name).is_some_and(|old| old != *value))
            .map(|(name, _)| name.clone())
    };
    if let (None, Some(name)) = (anew(here), anew(there)) {
        return Err(format!(
            "{visit}: {} does not know the session of {}, and begins another ({name})",
            second.name, first.name
        ));
    }
    let plain = |said: &Said| said.body.replace(&first.name, "INSTANCE").replace(&second.name, "INSTANCE");
    let (at_first, at_second) = (plain(here), plain(there));
    if at_first == at_second {
        return Ok(format!("{visit}: both say the same, status {}", here.status));
    }
    if at_first == plain(again) {
        return Err(format!("{visit}: {} says something else than {}", second.name, first.name));
    }
    // Times and counters: what is left is what kind of answer it is.
    let shape = |said: &Said| plain(said).replace(|letter: char| letter.is_ascii_digit(), "");
    match shape(here) == shape(again) && shape(here) != shape(there) {
        true => {
            Err(format!("{visit}: {} says something else than {}, beside what changes anyhow", second.name, first.name))
        }
        false => {
            Ok(format!("{visit}: status {} at both; what it says changes from one request to the next", here.status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::One;
    use super::*;

    fn pair() -> Pair {
        let one = |number: u16| One { name: format!("api-trial-{number}"), port: number };
        Pair {
            app: "api".into(),
            host: "api".into(),
            instances: [one(1), one(2)],
            ready: "/ready".into(),
            drain: std::time::Duration::from_secs(1),
            visits: Vec::new(),
            folder: "/".into(),
        }
    }

    fn said(status: u16, cookie: Option<&str>, body: &str) -> Said {
        let cookies = cookie.map(|value| ("sid".to_owned(), value.to_owned())).into_iter().collect();
        Said { status, cookies, body: body.into() }
    }

    #[test]
    fn a_session_that_is_not_known_shows_in_status_cookie_or_text_and_not_in_what_changes_anyhow() {
        let cookies = BTreeMap::from([("sid".to_owned(), "a".to_owned())]);
        let judge = |here: &Said, again: &Said, there: &Said| {
            differs(&pair(), &Visit::get("/"), &cookies, [here, again, there]).is_ok()
        };
        let ann = said(200, None, "hello ann, by api-trial-1");
        assert!(judge(&ann, &ann, &said(200, None, "hello ann, by api-trial-2")));
        assert!(judge(&ann, &ann, &said(200, Some("a"), "hello ann, by api-trial-2")), "the same cookie again");
        assert!(!judge(&ann, &ann, &said(401, None, "")));
        assert!(!judge(&ann, &ann, &said(200, Some("b"), "hello ann, by api-trial-2")), "another session");
        assert!(!judge(&ann, &ann, &said(200, None, "hello stranger")));
        let (third, fourth) = (said(200, None, "visit 3"), said(200, None, "visit 4"));
        assert!(judge(&third, &fourth, &said(200, None, "visit 5")));
        assert!(!judge(&third, &fourth, &said(200, None, "log in first")));
    }
}
