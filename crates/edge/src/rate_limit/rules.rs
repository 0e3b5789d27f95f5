//! The limits of a route table, made ready to be asked on every request.

use std::time::Duration;

use http::{HeaderValue, Method};
use reconcile::rate_limits::{LimitedBy, LimitedClass, LimitedRoute, Rate, RateLimits};

use super::fields;
use super::gcra::Quota;

/// What a network of many clients may, in clients: a /48 has 65,536 of them, and is given to one house.
const OF_A_NETWORK: u64 = 16;
/// What a client may who says to be many, by cookies and keys that nobody has verified.
const OF_A_CLIENT: u64 = 8;
/// An account's failures from everywhere, in those from one client: from then on answers about it are slow, and none is refused.
const OF_AN_ACCOUNT: u64 = 10;

/// All classes of one route table.
#[derive(Debug, Default)]
pub struct Rules {
    pub classes: Vec<Class>,
    default: Option<usize>,
    exempt: Vec<LimitedRoute>,
}

/// One class of requests.
#[derive(Debug)]
pub struct Class {
    pub name: String,
    pub quota: Quota,
    /// The quota of the second key, where there is one.
    pub ceiling: Quota,
    pub by: LimitedBy,
    pub shadow: bool,
    pub shared: bool,
    pub strict: bool,
    pub failures: Option<Failures>,
    pub policy: HeaderValue,
    routes: Vec<LimitedRoute>,
}

/// What is let pass of logins that fail.
#[derive(Clone, Copy, Debug)]
pub struct Failures {
    pub from_one_client: Quota,
    pub of_an_account: Quota,
}

/// Which class a site's requests are of.
#[derive(Debug, Default)]
pub struct Matcher {
    routes: Vec<(Pattern, Option<usize>)>,
    default: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    methods: Vec<Method>,
    segments: Vec<String>,
}

impl Rules {
    pub fn of(limits: Option<&RateLimits>) -> Self {
        let Some(limits) = limits else { return Self::default() };
        let classes: Vec<Class> = limits.classes.iter().map(Class::of).collect();
        let default = classes.iter().position(|class| class.routes.is_empty());
        Self { classes, default, exempt: limits.exempt.clone() }
    }

    /// Those of one app.
    pub fn matcher(&self, app: &str) -> Matcher {
        // What is named exempt is so whatever a wider pattern says.
        let exempt = self.exempt.iter().map(|route| (route, None));
        let limited =
            self.classes.iter().zip(0..).flat_map(|(class, at)| class.routes.iter().map(move |r| (r, Some(at))));
        let of_app = exempt.chain(limited).filter(|(route, _)| route.app == app);
        Matcher { routes: of_app.map(|(route, class)| (Pattern::of(route), class)).collect(), default: self.default }
    }
}

impl Class {
    /// Whether it has what no other class has a route for.
    pub fn is_default(&self) -> bool {
        self.routes.is_empty()
    }

    pub(crate) fn of(wanted: &LimitedClass) -> Self {
        let quota = quota(wanted.rate);
        let ceiling = match wanted.by {
            LimitedBy::Client | LimitedBy::Route => quota.times(OF_A_NETWORK),
            LimitedBy::Account { .. } | LimitedBy::ApiKey => quota.times(OF_A_CLIENT),
        };
        let failures = wanted.failures.map(|rate| {
            let from_one_client = self::quota(rate);
            Failures { from_one_client, of_an_account: from_one_client.times(OF_AN_ACCOUNT) }
        });
        Self {
            name: wanted.name.clone(),
            quota,
            ceiling,
            by: wanted.by.clone(),
            shadow: wanted.shadow,
            shared: wanted.shared,
            strict: wanted.strict,
            failures,
            policy: fields::policy(&wanted.name, quota),
            routes: wanted.routes.clone(),
        }
    }
}

fn quota(rate: Rate) -> Quota {
    Quota::new(rate.count, Duration::from_millis(rate.period_ms), rate.burst)
}

impl Matcher {
    /// Which class a request is of; `None`: it is not limited.
    pub fn class(&self, method: &Method, path: &str) -> Option<usize> {
        if self.routes.is_empty() {
            return self.default;
        }
        let path = as_apps_read(path);
        let path = path.as_deref().unwrap_or(&[]);
        let found = self.routes.iter().find(|(pattern, _)| pattern.fits(method, path));
        found.map_or(self.default, |(_, class)| *class)
    }
}

impl Pattern {
    /// Any method.
    pub(crate) fn of_path(path: &str) -> Self {
        Self { methods: Vec::new(), segments: as_apps_read(path).unwrap_or_default() }
    }

    pub(crate) fn fits_path(&self, method: &Method, path: &str) -> bool {
        as_apps_read(path).is_some_and(|path| self.fits(method, &path))
    }

    fn of(route: &LimitedRoute) -> Self {
        let methods = route.methods.iter().filter_map(|method| method.parse().ok()).collect();
        Self { methods, segments: as_apps_read(&route.path).unwrap_or_default() }
    }

    fn fits(&self, method: &Method, path: &[String]) -> bool {
        // A HEAD does the work of a GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return false;
        }
        let fits = |(pattern, segment): (&String, &String)| pattern == "*" || pattern == segment;
        match self.segments.split_last() {
            Some((last, before)) if last == "*" => path.len() > before.len() && before.iter().zip(path).all(fits),
            _ => path.len() == self.segments.len() && self.segments.iter().zip(path).all(fits),
        }
    }
}

/// The segments of a path as the most generous of frameworks would read it: decoded, in any case, without empty ones. A login must
/// not be another class's because somebody wrote `/auth//LOGI%4E`. `None`: it is no text.
fn as_apps_read(path: &str) -> Option<Vec<String>> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let segments = decoded.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or_default());
    Some(segments.filter(|segment| !segment.is_empty()).map(str::to_ascii_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(methods: &[&str], path: &str) -> LimitedRoute {
        let methods = methods.iter().map(|&method| method.to_owned()).collect();
        LimitedRoute { app: "api".to_owned(), methods, path: path.to_owned() }
    }

    fn class(name: &str, routes: Vec<LimitedRoute>) -> LimitedClass {
        LimitedClass {
            name: name.to_owned(),
            rate: Rate { count: 10, period_ms: 60_000, burst: 10 },
            by: LimitedBy::Client,
            shadow: false,
            shared: false,
            strict: false,
            failures: None,
            routes,
        }
    }

    #[test]
    fn a_class_is_found_however_its_path_is_written() {
        let rules = Rules::of(Some(&RateLimits {
            classes: vec![
                class("default", Vec::new()),
                class("auth", vec![route(&["POST"], "/auth/*")]),
                class("payment", vec![route(&[], "/orders/*/pay")]),
            ],
            exempt: vec![route(&["GET"], "/health")],
        }));
        let matcher = rules.matcher("api");
        let name =
            |method: Method, path: &str| matcher.class(&method, path).map_or("-", |at| rules.classes[at].name.as_str());
        for (method, path, wanted) in [
            (Method::POST, "/auth/login", "auth"),
            (Method::POST, "/auth/a/b", "auth"),
            (Method::POST, "/auth", "default"),
            (Method::GET, "/auth/login", "default"),
            (Method::POST, "/auth//login", "auth"),
            (Method::POST, "//auth/login/", "auth"),
            (Method::POST, "/%61uth/login", "auth"),
            (Method::POST, "/auth%2flogin", "auth"),
            (Method::POST, "/AUTH/Login", "auth"),
            (Method::POST, "/auth;x=1/login", "auth"),
            (Method::POST, "/authx/login", "default"),
            (Method::PUT, "/orders/7/pay", "payment"),
            (Method::PUT, "/orders/7/8/pay", "default"),
            (Method::GET, "/health", "-"),
            (Method::HEAD, "/health", "-"),
            (Method::POST, "/health", "default"),
        ] {
            assert_eq!(name(method.clone(), path), wanted, "{method} {path}");
        }
        assert_eq!(rules.matcher("storefront").class(&Method::POST, "/auth/login"), Some(0), "of another app");
        assert_eq!(Rules::of(None).matcher("api").class(&Method::GET, "/"), None);
    }
}
