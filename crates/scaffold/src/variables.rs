//! Variables that the code reads: what each is for, as far as its name tells, and where its value comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::survey::{Kind, Service, Survey};

/// What a variable is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    MongoDb,
    Redis,
    RedisPrefix,
    RedisRestAddress,
    RedisRestToken,
    /// Whom to trust at data services.
    Authorities,
    /// Another app's address inside the environment.
    Calls,
    /// A public address of an app.
    Address,
    /// A key that Roadbed makes.
    Generated,
    /// Frozen into what browsers load.
    Frozen,
    /// Whatever else: a person knows.
    Person,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) apps: BTreeSet<String>,
    pub(crate) purpose: Purpose,
    /// The app that it leads to, inside the environment.
    pub(crate) calls: Option<String>,
    value: Option<String>,
    /// Whether the code reads it. What only the start of an app takes, or is still to be read, is declared on purpose.
    is_read: bool,
}

/// What build tools put into pages.
const FROZEN: [&str; 5] = ["NEXT_PUBLIC_", "VITE_", "REACT_APP_", "GATSBY_", "EXPO_PUBLIC_"];
const SECRET: [&str; 7] = ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PRIVATE", "CREDENTIAL", "DSN"];
const OF_SESSIONS: [&str; 6] = ["SESSION", "JWT", "COOKIE", "CSRF", "AUTH_SECRET", "NEXTAUTH_SECRET"];
const OWN_ADDRESS: [&str; 6] = ["SITE_URL", "APP_URL", "BASE_URL", "PUBLIC_URL", "NEXTAUTH_URL", "AUTH_URL"];
const PAGES_ADDRESS: [&str; 6] =
    ["CORS_ORIGIN", "CORS_ORIGINS", "ALLOWED_ORIGIN", "ALLOWED_ORIGINS", "FRONTEND_URL", "CLIENT_URL"];
/// Roadbed's own, of which code may read the path.
const AUTHORITIES: [&str; 2] = ["SERVICES_CA", "SERVICES_CA_FILE"];

fn is_address(name: &str) -> bool {
    ["_URL", "_URI", "_ORIGIN", "_CONNECTION_STRING"].iter().any(|ending| name.ends_with(ending))
}

impl Variable {
    /// One for each name that is read, by these apps. An app that reads a data service's address needs that service.
    pub(crate) fn of(read: &BTreeMap<String, BTreeSet<String>>, survey: &mut Survey) -> Vec<Self> {
        let mut all = Vec::new();
        for (name, apps) in read.iter().filter(|(name, _)| !AUTHORITIES.contains(&name.as_str())) {
            let variable = Self::named(name, apps, survey);
            let service = match variable.purpose {
                Purpose::MongoDb => Some(Service::MongoDb),
                Purpose::Redis | Purpose::RedisPrefix => Some(Service::Redis),
                Purpose::RedisRestAddress | Purpose::RedisRestToken => Some(Service::RedisRest),
                _ => None,
            };
            if let Some(service) = service {
                let readers = survey.apps.iter_mut().filter(|app| apps.contains(&app.name));
                readers.for_each(|app| _ = app.services.insert(service));
            }
            all.push(variable);
        }
        all
    }

    /// Those without which nobody gets at a data service, whatever the code reads.
    pub(crate) fn of_services(survey: &Survey, known: &[Self], read: &BTreeMap<String, BTreeSet<String>>) -> Vec<Self> {
        let who = |wanted: &[Service]| -> BTreeSet<String> {
            let apps = survey.apps.iter().filter(|app| wanted.iter().any(|service| app.services.contains(service)));
            apps.map(|app| app.name.clone()).collect()
        };
        let own = [
            ("SERVICES_CA", Purpose::Authorities, who(&[Service::MongoDb, Service::Redis])),
            ("REDIS_KEY_PREFIX", Purpose::RedisPrefix, who(&[Service::Redis])),
        ];
        let missing = own
            .into_iter()
            .filter(|(_, purpose, apps)| !apps.is_empty() && !known.iter().any(|one| one.purpose == *purpose));
        missing
            .map(|(name, purpose, apps)| {
                let is_read = AUTHORITIES.iter().any(|one| purpose == Purpose::Authorities && read.contains_key(*one));
                Self { name: name.to_owned(), apps, purpose, calls: None, value: None, is_read }
            })
            .collect()
    }

    fn named(name: &str, apps: &BTreeSet<String>, survey: &Survey) -> Self {
        let readers = || survey.apps.iter().filter(|app| apps.contains(&app.name));
        let reader_has = |service| readers().any(|app| app.services.contains(&service));
        let is_of_mongodb = name.contains("MONGO")
            || (["DATABASE_", "DB_"].iter().any(|begin| name.starts_with(begin)) && reader_has(Service::MongoDb));
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let sounds_secret = has(&SECRET) || name.ends_with("_KEY");
        let only_static = readers().all(|app| matches!(app.kind, Kind::Static { .. }));
        let mut variable = Self {
            name: name.to_owned(),
            apps: apps.clone(),
            purpose: Purpose::Person,
            calls: None,
            value: None,
            is_read: true,
        };
        variable.purpose = match name {
            _ if only_static || FROZEN.iter().any(|prefix| name.starts_with(prefix)) => Purpose::Frozen,
            "UPSTASH_REDIS_REST_URL" => Purpose::RedisRestAddress,
            "UPSTASH_REDIS_REST_TOKEN" => Purpose::RedisRestToken,
            _ if is_of_mongodb && is_address(name) => Purpose::MongoDb,
            _ if name.contains("REDIS") && name.ends_with("PREFIX") => Purpose::RedisPrefix,
            _ if name.contains("REDIS") && is_address(name) => Purpose::Redis,
            _ if has(&OF_SESSIONS) && sounds_secret => Purpose::Generated,
            _ if sounds_secret => Purpose::Person,
            _ => variable.address(survey),
        };
        variable
    }

    /// An address of one of the product's own apps, if the name says which.
    fn address(&mut self, survey: &Survey) -> Purpose {
        let front = survey.apps.iter().find(|app| app.kind.has_pages());
        if PAGES_ADDRESS.contains(&self.name.as_str()) && front.is_some() {
            let pages = survey.apps.iter().filter(|app| app.kind.has_pages());
            self.value = Some(pages.map(|app| format!("${{url.{}}}", app.name)).collect::<Vec<_>>().join(","));
            return Purpose::Address;
        }
        let (Some(reader), 1) = (self.apps.first().cloned(), self.apps.len()) else { return Purpose::Person };
        if OWN_ADDRESS.contains(&self.name.as_str()) {
            self.value = Some(format!("${{url.{reader}}}"));
            return Purpose::Address;
        }
        let mut servers = survey.apps.iter().filter(|app| matches!(app.kind, Kind::Node(_)) && app.name != reader);
        let named = |name: &str| self.name.contains(&name.to_ascii_uppercase().replace('-', "_"));
        let means_the_api = self.name.contains("API") || self.name.contains("BACKEND");
        // A server that calls a server may be called by it: only pages wait for what they call.
        let calls = survey.apps.iter().any(|app| app.name == reader && app.kind.has_pages());
        let target = servers.clone().find(|app| named(&app.name)).or_else(|| match (servers.next(), servers.next()) {
            (Some(only), None) if means_the_api => Some(only),
            _ => None,
        });
        match target.filter(|_| calls && is_address(&self.name)) {
            Some(target) => {
                self.calls = Some(target.name.clone());
                self.value = Some(format!("${{internal.{}}}", target.name));
                Purpose::Calls
            }
            None => Purpose::Person,
        }
    }

    /// Its table in the manifest.
    pub(crate) fn table(&self) -> String {
        let value = self.value.as_deref().unwrap_or_default();
        let given = |value: &str| format!("value = \"{value}\"\n");
        let apps: Vec<String> = self.apps.iter().map(|app| format!("\"{app}\"")).collect();
        let secret = SECRET.iter().any(|word| self.name.contains(word)) || self.name.ends_with("_KEY");
        let (description, class, rest) = match self.purpose {
            Purpose::MongoDb => (
                "Connection to MongoDB as the app's own user",
                "secret",
                "type = \"mongo_url\"\n".to_owned() + &given("${service.mongodb.url}"),
            ),
            Purpose::Redis => (
                "Connection to Redis as the app's own user",
                "secret",
                "type = \"redis_url\"\n".to_owned() + &given("${service.redis.url}"),
            ),
            Purpose::RedisPrefix => (
                "Every key in Redis starts with this; the user may touch no other",
                "internal",
                given("${service.redis.prefix}"),
            ),
            Purpose::RedisRestAddress => ("Redis by Upstash's REST", "internal", given("${service.redis.rest.url}")),
            Purpose::RedisRestToken => {
                ("What opens Redis by Upstash's REST", "secret", given("${service.redis.rest.token}"))
            }
            Purpose::Authorities => (
                "Certificates by which data services are recognised; SERVICES_CA_FILE says where they are",
                "internal",
                given("${service.ca}") + "deliver = \"file\"\n",
            ),
            Purpose::Calls => ("Where another app is, inside the environment", "internal", given(value)),
            Purpose::Address => ("Addresses that visitors know", "internal", given(value)),
            Purpose::Generated => (
                "A key that Roadbed makes, one for each environment",
                "auth",
                "source = \"generated\"\nexample = \"example-only\"\n".to_owned(),
            ),
            Purpose::Frozen => (
                "Frozen into pages while they are built, and the same in every environment",
                "public",
                "phase = \"build\"\nsource = \"ci\"\nrequired = \"never\"\n".to_owned(),
            ),
            Purpose::Person => (
                "Read by the code; say here what it is for",
                if secret { "secret" } else { "internal" },
                "source = \"store\"\nrequired = \"never\"\nexample = \"example\"\n".to_owned(),
            ),
        };
        let mut table = match (self.is_read, self.purpose) {
            (true, _) => String::new(),
            (false, Purpose::Authorities) => {
                "# roadbed-allow(unused): the command that starts the app takes it\n".to_owned()
            }
            (false, _) => "# roadbed-allow(unused): the app is still to be told of it\n".to_owned(),
        };
        let _ = writeln!(table, "[variables.{}]", self.name);
        let _ = writeln!(
            table,
            "description = \"{description}\"\napps = [{}]\nclass = \"{class}\"\nowner = \"team\"",
            apps.join(", ")
        );
        table + &rest
    }
}
