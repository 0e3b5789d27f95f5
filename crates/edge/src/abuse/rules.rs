//! What the manifest says of abuse, made ready to be asked on every request.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use http::Method;
use reconcile::abuse::{Abuse, Scanners as Wanted};
use reconcile::rate_limits::{LimitedBy, LimitedClass};

use crate::rate_limit::rules::{Class, Pattern};

/// Paths that only scanners ask for: what is said of them is in the file.
static PATHS: LazyLock<Paths> = LazyLock::new(|| Paths::read(include_str!("scanner_paths.txt")));

#[derive(Debug, Default)]
struct Paths {
    exact: HashSet<&'static str>,
    /// Beginnings.
    begin: Vec<&'static str>,
}

impl Paths {
    fn read(text: &'static str) -> Self {
        let mut paths = Self::default();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with('/')) {
            match line.strip_suffix('*') {
                Some(beginning) => paths.begin.push(beginning),
                None => drop(paths.exact.insert(line)),
            }
        }
        paths
    }

    fn has(&self, path: &str) -> bool {
        self.exact.contains(path) || self.begin.iter().any(|beginning| path.starts_with(beginning))
    }
}

/// All of one route table.
#[derive(Debug)]
pub struct Rules {
    pub enforce: bool,
    pub scanners: Option<Scanners>,
    pub crawlers: bool,
    pub crawler_class: Option<Class>,
    pub fingerprints: bool,
    challenges: Vec<(String, Pattern, u32)>,
}

#[derive(Debug)]
pub struct Scanners {
    pub after: u32,
    pub keep_out: Duration,
    pub honeypot: Option<String>,
    except: Vec<String>,
}

impl Rules {
    pub fn of(wanted: &Abuse) -> Self {
        let class = |rate| LimitedClass {
            name: "crawler".to_owned(),
            rate,
            by: LimitedBy::Client,
            shadow: !wanted.enforce,
            shared: false,
            strict: false,
            failures: None,
            routes: Vec::new(),
        };
        let challenge = |challenge: &reconcile::abuse::Challenge| {
            (challenge.app.clone(), Pattern::of_path(&challenge.path), challenge.bits)
        };
        Self {
            enforce: wanted.enforce,
            scanners: wanted.scanners.as_ref().map(Scanners::of),
            crawlers: wanted.crawlers,
            crawler_class: wanted.crawler_rate.map(|rate| Class::of(&class(rate))),
            fingerprints: wanted.fingerprints,
            challenges: wanted.challenges.iter().map(challenge).collect(),
        }
    }

    /// How hard a page is to get, in bits. Only what people look at: a form that is sent would be lost.
    pub fn challenge(&self, app: &str, method: &Method, path: &str) -> Option<u32> {
        if self.challenges.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let of_app = self.challenges.iter().filter(|(of, _, _)| of == app);
        of_app.filter(|(_, pattern, _)| pattern.fits_path(method, path)).map(|(_, _, bits)| *bits).max()
    }

    pub fn challenges_of(&self, app: &str) -> bool {
        self.challenges.iter().any(|(of, _, _)| of == app)
    }
}

impl Scanners {
    fn of(wanted: &Wanted) -> Self {
        Self {
            after: wanted.after.max(1),
            keep_out: Duration::from_millis(wanted.keep_out_ms),
            honeypot: wanted.honeypot.clone(),
            except: wanted.except.iter().map(|path| path.to_ascii_lowercase()).collect(),
        }
    }

    /// Which trap a path is.
    pub fn trap(&self, path: &str) -> Option<&'static str> {
        if self.honeypot.as_ref().is_some_and(|honeypot| path.starts_with(honeypot.as_str())) {
            return Some("honeypot");
        }
        // No path of the list is longer, and most requests are for none of it.
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
        let is_one = PATHS.has(&decoded) && !self.except.iter().any(|except| decoded.starts_with(except.as_str()));
        is_one.then_some("scanner-path")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanners() -> Scanners {
        Scanners::of(&Wanted {
            after: 5,
            keep_out_ms: 1000,
            honeypot: Some("/private-offers/".into()),
            except: vec!["/wp-content/".into()],
        })
    }

    #[test]
    fn scanners_are_told_from_visitors_by_what_they_ask_for() {
        let scanners = scanners();
        for path in ["/.env", "/.env.production", "/.git/config", "/WP-LOGIN.php", "/%2egit/HEAD", "/cgi-bin/luci"] {
            assert_eq!(scanners.trap(path), Some("scanner-path"), "{path}");
        }
        assert_eq!(scanners.trap("/private-offers/1"), Some("honeypot"));
        for path in
            ["/", "/environment", "/products/.env-shirt", "/wp-content/a.png", "/login", "/admin", "/shells", "/%ff"]
        {
            assert_eq!(scanners.trap(path), None, "{path}");
        }
    }

    #[test]
    fn the_list_is_well_formed() {
        for line in include_str!("scanner_paths.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            assert!(line.starts_with('/') && line.len() > 2, "{line}: it would be everything");
            assert_eq!(line, line.to_ascii_lowercase());
            assert!(!line.trim_end_matches('*').contains('*'), "{line}");
            assert!(!"/.well-known/".starts_with(line.trim_end_matches('*')), "{line}");
        }
    }

    #[test]
    fn a_challenge_is_for_pages_of_its_app() {
        let rules = Rules::of(&Abuse {
            challenges: vec![reconcile::abuse::Challenge { app: "shop".into(), path: "/search/*".into(), bits: 12 }],
            ..Abuse::default()
        });
        assert_eq!(rules.challenge("shop", &Method::GET, "/search/shoes"), Some(12));
        assert_eq!(rules.challenge("shop", &Method::GET, "//SEARCH/%73hoes"), Some(12));
        assert_eq!(rules.challenge("shop", &Method::POST, "/search/shoes"), None);
        assert_eq!(rules.challenge("api", &Method::GET, "/search/shoes"), None);
        assert_eq!(rules.challenge("shop", &Method::GET, "/"), None);
    }
}
