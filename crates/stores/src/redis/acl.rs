//! Who may do what: the ACL file, and whether a living server agrees with it.

use std::collections::BTreeSet;

use manifest::id::AppName;
use secrets::{Secret, Versioned};

use super::{ADMIN, EDGE, Purpose, Settings, prefix_of_edge, rest};
use crate::engines::checksum;
use crate::ground::{Slot, user_of};
use crate::leases::{self, Lease, Rights, State};

/// What an app may do, on its own keys and channels. `@dangerous` does not cover everything that empties a server: libraries of
/// functions and the script cache are taken away by name. `INFO` is needed by clients that wait for a loading server.
const APP_COMMANDS: &str = "-@all +@all -@admin -@dangerous -function -script|flush +info";

/// What somebody who looks may do, on the apps' keys.
const READER_COMMANDS: &str = "-@all +@read +@connection -@admin -@dangerous +info";

/// What a read-only token may do, on the app's keys. Names of keys that it does not know are not told: there are others' among them.
const REST_READER_COMMANDS: &str = "-@all +@read +@connection -@dangerous -scan -randomkey -dbsize";

/// What our own user may do: no key at all. It puts and takes away users one by one, because a server of version 7.0 that loads
/// its file ends every connection, also of those whose user did not change. `CONFIG` is for a new certificate, which a living
/// server takes without closing a connection, and for parameters that somebody changed; `enable-protected-configs no` keeps folders
/// and file names out of its reach.
///
/// So whoever has its password could give it, or a user of their own, every right. Redis has nothing against that: first
/// arguments (`+select|0`) can be named for commands without subcommands alone, which `ACL SETUSER` is not, and selectors bind
/// keys, of which it has none. What guards it: the password is sealed in the store and in control's memory, the file has its
/// digest and is 0600, the server listens on loopback, the packet filter lets only our own user and apps there; and a user that
/// has more than this is seen by [`ADMIN_PROBES`] at the next convergence, which loads the file again.
const ADMIN_COMMANDS: &str = "-@all +acl|load +acl|setuser +acl|deluser +acl|list +acl|dryrun +acl|whoami +config|get +config|set +replicaof +client|id +ping +info +memory|stats +latency|latest +slowlog|len";

/// Who says on somebody else's server whose the users are.
pub(crate) const OWNER: &str = "owner";

/// Who replicas are to their primary, and sentinels to all.
pub(crate) const MEMBER: &str = "member";

/// What replicas and sentinels need of a server. A replica gets everything that its primary has, so its password is worth all data.
const MEMBER_COMMANDS: &str = "-@all +psync +replconf +ping +info +role +multi +exec +replicaof +slaveof +subscribe +publish +config|rewrite +client|setname +client|kill +script|kill";

/// What the edges need to count: one script, and what it does.
const EDGE_COMMANDS: &str = "-@all +evalsha +script|load +get +set +time +ping";

/// A sentinel has few commands, and does not start with a rule about one that it lacks.
const SENTINEL_ADMIN_COMMANDS: &str = "-@all +acl|load +acl|setuser +acl|deluser +acl|list +acl|dryrun +acl|whoami +client|id +ping +info +role +sentinel|master +sentinel|replicas";

const SENTINEL_APP_COMMANDS: &str = "-@all +sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves +sentinel|sentinels +subscribe +unsubscribe +psubscribe +punsubscribe +ping +info +role +client|id +client|setname";

const SENTINEL_MEMBER_COMMANDS: &str =
    "-@all +sentinel|is-master-down-by-addr +ping +publish +subscribe +info +client|setname";

/// One user as the ACL file says it.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    /// SHA-256 of the password; `None`: nobody can be this user.
    pub(crate) digests: Vec<String>,
    pub(crate) scope: Scope,
    commands: &'static str,
}

/// What a user may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// No keys and no channels.
    Nothing,
    /// Keys and channels that begin so.
    Prefix(String),
    /// Keys that begin so, to read alone.
    ReadPrefix(String),
    /// All keys and all channels.
    Everything,
    /// No keys and every channel: by them sentinels talk to each other, and say what they did.
    Channels,
}

impl Scope {
    fn keys(&self) -> Option<String> {
        match self {
            Self::Prefix(prefix) => Some(format!("~{prefix}*")),
            Self::ReadPrefix(prefix) => Some(format!("%R~{prefix}*")),
            Self::Everything => Some("~*".to_owned()),
            Self::Nothing | Self::Channels => None,
        }
    }

    fn channels(&self) -> Option<String> {
        match self {
            Self::Prefix(prefix) => Some(format!("&{prefix}*")),
            Self::Channels | Self::Everything => Some("&*".to_owned()),
            Self::Nothing | Self::ReadPrefix(_) => None,
        }
    }
}

/// A kind of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Who does not log in.
    Nobody,
    /// Who a server is to itself while it reads its own log.
    OwnLog,
    /// Ours.
    Administrator,
    /// Replicas and sentinels to each other.
    Member,
    App,
    /// Somebody who looks.
    Reader,
    /// Who has an app's read-only token.
    RestReader,
    /// The edges, which count limits.
    Edge,
}

impl Who {
    /// What it may do at a server of this purpose, in rules of Redis.
    pub(crate) fn commands(self, purpose: Purpose) -> &'static str {
        match (self, purpose) {
            (Self::Nobody, _) => "-@all",
            (Self::OwnLog, _) => "+@all",
            (Self::Administrator, Purpose::Sentinel) => SENTINEL_ADMIN_COMMANDS,
            (Self::Administrator, _) => ADMIN_COMMANDS,
            (Self::Member, Purpose::Sentinel) => SENTINEL_MEMBER_COMMANDS,
            (Self::Member, _) => MEMBER_COMMANDS,
            // They are no users of theirs.
            (Self::Edge | Self::RestReader, Purpose::Sentinel) => "-@all",
            (Self::RestReader, _) => REST_READER_COMMANDS,
            (Self::Edge, _) => EDGE_COMMANDS,
            (Self::App | Self::Reader, Purpose::Sentinel) => SENTINEL_APP_COMMANDS,
            (Self::App, _) => APP_COMMANDS,
            (Self::Reader, _) => READER_COMMANDS,
        }
    }

    /// What it may name there.
    pub(crate) fn scope(self, purpose: Purpose, prefix: &str) -> Scope {
        match (self, purpose) {
            (Self::Nobody | Self::Administrator, _) => Scope::Nothing,
            (Self::OwnLog, _) => Scope::Everything,
            (Self::Member, _) | (Self::App | Self::Reader, Purpose::Sentinel) => Scope::Channels,
            (Self::App | Self::Reader, _) => Scope::Prefix(prefix.to_owned()),
            (Self::RestReader, _) => Scope::ReadPrefix(prefix.to_owned()),
            (Self::Edge, _) => Scope::Prefix(prefix_of_edge(prefix)),
        }
    }
}

impl User {
    fn new(name: String, who: Who, purpose: Purpose, prefix: &str, digests: Vec<String>) -> Self {
        Self { name, digests, scope: who.scope(purpose, prefix), commands: who.commands(purpose) }
    }

    /// What is asked about it with `ACL DRYRUN`.
    pub(crate) fn probes(&self) -> &'static [Probe] {
        match self.commands {
            ADMIN_COMMANDS => &ADMIN_PROBES,
            APP_COMMANDS => &PROBES,
            EDGE_COMMANDS => &EDGE_PROBES,
            REST_READER_COMMANDS => &REST_READER_PROBES,
            _ => &[],
        }
    }

    /// What the user is, in words of `ACL SETUSER`.
    pub(crate) fn rules(&self) -> String {
        let mut words = match self.digests.is_empty() {
            true => "off resetpass resetkeys".to_owned(),
            false => format!("on resetpass #{} resetkeys", self.digests.join(" #")),
        };
        for part in [self.scope.keys(), Some("resetchannels".to_owned()), self.scope.channels()].into_iter().flatten() {
            words = format!("{words} {part}");
        }
        format!("{words} {}", self.commands)
    }
}

/// Everybody who exists. An app has a user for each of its passwords, our own user has all of its passwords. `among` is the password
/// by which members and sentinels know each other, `edge` those by which edges come.
pub(crate) fn users(
    settings: &Settings,
    admin: &[Versioned],
    among: Option<&Secret>,
    edge: &[Versioned],
    logins: &[(AppName, Versioned)],
) -> Vec<User> {
    let digest = |secret: &Secret| checksum::of_bytes(secret.expose().as_bytes());
    let user = |name: String, who, digests| User::new(name, who, settings.purpose, &settings.key_prefix, digests);
    // In an order that stays when another one becomes the current.
    let digests = |passwords: &[Versioned]| {
        let mut passwords: Vec<&Versioned> = passwords.iter().collect();
        passwords.sort_by_key(|password| password.version);
        passwords.into_iter().map(|password| digest(&password.secret)).collect::<Vec<String>>()
    };
    let own_log = if settings.purpose == Purpose::Durable { Who::OwnLog } else { Who::Nobody };
    let mut users = vec![
        // Who does not log in is this user. It cannot be removed, so it is off: nobody is let in as it, whatever it may do. A server of
        // version 7.0 reads its own log as this user, and leaves out each transaction in it that the user may not execute.
        user("default".to_owned(), own_log, Vec::new()),
        user(ADMIN.to_owned(), Who::Administrator, digests(admin)),
    ];
    users.extend(among.map(|password| user(MEMBER.to_owned(), Who::Member, vec![digest(password)])));
    if settings.counts_limits {
        users.push(user(EDGE.to_owned(), Who::Edge, digests(edge)));
    }
    users.extend(logins.iter().map(|(app, password)| {
        user(user_of(app, Slot::of(password.version)), Who::App, vec![digest(&password.secret)])
    }));
    if settings.rest {
        users.extend(logins.iter().map(|(app, password)| {
            let (name, secret) = rest::reader(app, password);
            user(name, Who::RestReader, vec![digest(&secret)])
        }));
    }
    users
}

/// Name of a user on somebody else's server: it begins as the keys do that it may touch, so that environments and strangers on one
/// server have names of their own.
pub(crate) fn name_elsewhere(settings: &Settings, name: &str) -> String {
    match settings.purpose {
        Purpose::Cache => format!("{}cache-{name}", settings.key_prefix),
        Purpose::Durable | Purpose::Sentinel => format!("{}{name}", settings.key_prefix),
    }
}

/// Everybody of ours on somebody else's server. Nobody can log in as the first: its digest is the mark of whose the others are.
pub(crate) fn users_elsewhere(
    settings: &Settings,
    mark: &str,
    logins: &[(AppName, Versioned)],
    leases: &[Lease],
) -> Vec<User> {
    let mut users = vec![User {
        name: name_elsewhere(settings, OWNER),
        digests: vec![mark.to_owned()],
        scope: Scope::Nothing,
        commands: "-@all off",
    }];
    users.extend(logins.iter().map(|(app, password)| User {
        name: name_elsewhere(settings, &user_of(app, Slot::of(password.version))),
        digests: vec![checksum::of_bytes(password.secret.expose().as_bytes())],
        scope: Scope::Prefix(settings.key_prefix.clone()),
        commands: APP_COMMANDS,
    }));
    let lent = leases.iter().filter_map(|lease| leased(lease, settings.purpose));
    users.extend(lent.map(|user| User { name: name_elsewhere(settings, &user.name), ..user }));
    users
}

/// Whether one of our apps has this user, now or at another version of its password, or it is lent, or the edges': users that come and go while
/// everybody else stays.
pub(crate) fn comes_and_goes(name: &str, settings: &Settings) -> bool {
    let name_of_app = rest::without_reader(name);
    settings.apps.iter().any(|app| Slot::ALL.iter().any(|slot| user_of(app, *slot) == name_of_app))
        || leases::is_name(name)
        || name == EDGE
}

/// The user of a lease that lasts, if it has one in Redis.
pub(crate) fn leased(lease: &Lease, purpose: Purpose) -> Option<User> {
    let user = lease.redis.as_ref().filter(|_| lease.state == State::Live)?;
    let who = match lease.rights {
        Rights::OfApp => Who::App,
        Rights::ReadOnly => Who::Reader,
    };
    Some(User::new(lease.id.clone(), who, purpose, &user.prefix, vec![user.digest.clone()]))
}

pub(crate) fn render(users: &[User]) -> String {
    users.iter().map(|user| format!("user {} {}\n", user.name, user.rules())).collect()
}

/// What `ACL LIST` says of one user, without the commands: their text is rewritten by each version in its own way, so rights
/// are compared by asking the server, see [`User::probes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) on: bool,
    passwordless: bool,
    pub(crate) digests: Vec<String>,
    keys: Vec<String>,
    channels: Vec<String>,
    /// Root permissions can be widened by selectors: there must be none.
    selectors: bool,
}

pub(crate) fn parse_line(line: &str) -> Option<Listed> {
    let mut words = line.strip_prefix("user ")?.split_whitespace();
    let mut listed = Listed {
        name: words.next()?.to_owned(),
        on: false,
        passwordless: false,
        digests: Vec::new(),
        keys: Vec::new(),
        channels: Vec::new(),
        selectors: false,
    };
    for word in words {
        match word {
            "on" => listed.on = true,
            "nopass" => listed.passwordless = true,
            _ => match word.split_at_checked(1) {
                Some(("#", digest)) => listed.digests.push(digest.to_owned()),
                Some(("~" | "%", _)) => listed.keys.push(word.to_owned()),
                Some(("&", _)) => listed.channels.push(word.to_owned()),
                Some(("(", _)) => listed.selectors = true,
                _ => {}
            },
        }
    }
    Some(listed)
}

/// Whether the server knows the user as the file says.
pub(crate) fn agrees(user: &User, listed: &Listed) -> bool {
    let sorted = |digests: &[String]| digests.iter().cloned().collect::<BTreeSet<String>>();
    agrees_but_for_passwords(user, listed) && sorted(&listed.digests) == sorted(&user.digests)
}

/// As [`agrees`], whatever passwords it has.
pub(crate) fn agrees_but_for_passwords(user: &User, listed: &Listed) -> bool {
    listed.on != user.digests.is_empty()
        && !listed.passwordless
        && !listed.selectors
        && listed.keys == Vec::from_iter(user.scope.keys())
        && listed.channels == Vec::from_iter(user.scope.channels())
}

/// Whether a command must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Allowed,
    Denied,
}

/// A command, and whether it must be allowed; `{key}` is a key of the apps.
pub(crate) type Probe = (Right, &'static [&'static str]);

/// Commands whose right is looked at for apps.
const PROBES: [Probe; 16] = [
    (Right::Allowed, &["get", "{key}"]),
    (Right::Allowed, &["set", "{key}", "1", "ex", "60"]),
    (Right::Allowed, &["publish", "{key}", "x"]),
    (Right::Allowed, &["eval", "return 1", "1", "{key}"]),
    (Right::Allowed, &["info"]),
    (Right::Denied, &["get", "somebody-else"]),
    (Right::Denied, &["publish", "somebody-else", "x"]),
    (Right::Denied, &["keys", "*"]),
    (Right::Denied, &["flushall"]),
    (Right::Denied, &["flushdb"]),
    (Right::Denied, &["config", "get", "*"]),
    (Right::Denied, &["acl", "list"]),
    (Right::Denied, &["shutdown"]),
    (Right::Denied, &["function", "flush"]),
    (Right::Denied, &["script", "flush"]),
    (Right::Denied, &["client", "kill", "id", "1"]),
];

/// The same for read-only tokens.
const REST_READER_PROBES: [Probe; 6] = [
    (Right::Allowed, &["get", "{key}"]),
    (Right::Denied, &["set", "{key}", "1"]),
    (Right::Denied, &["get", "somebody-else"]),
    (Right::Denied, &["keys", "*"]),
    (Right::Denied, &["scan", "0"]),
    (Right::Denied, &["publish", "{key}", "x"]),
];

/// The same for the edges.
const EDGE_PROBES: [Probe; 8] = [
    (Right::Allowed, &["evalsha", "x", "0"]),
    (Right::Allowed, &["script", "load", "x"]),
    (Right::Denied, &["get", "{key}"]),
    (Right::Denied, &["set", "{key}", "1"]),
    (Right::Denied, &["eval", "return 1", "0"]),
    (Right::Denied, &["script", "flush"]),
    (Right::Denied, &["flushall"]),
    (Right::Denied, &["acl", "list"]),
];

/// The same for our own user: all that it needs, and of each kind of command what does harm without a key. That it has no key
/// is seen in [`agrees`].
const ADMIN_PROBES: [Probe; 42] = [
    (Right::Allowed, &["acl", "load"]),
    (Right::Allowed, &["acl", "setuser", "x"]),
    (Right::Allowed, &["acl", "deluser", "x"]),
    (Right::Allowed, &["acl", "list"]),
    (Right::Allowed, &["acl", "dryrun", "x", "ping"]),
    (Right::Allowed, &["acl", "whoami"]),
    (Right::Allowed, &["config", "get", "*"]),
    (Right::Allowed, &["config", "set", "maxmemory", "0"]),
    (Right::Allowed, &["replicaof", "no", "one"]),
    (Right::Allowed, &["client", "id"]),
    (Right::Allowed, &["ping"]),
    (Right::Allowed, &["info"]),
    (Right::Allowed, &["memory", "stats"]),
    (Right::Allowed, &["latency", "latest"]),
    (Right::Allowed, &["slowlog", "len"]),
    (Right::Denied, &["get", "{key}"]),
    (Right::Denied, &["set", "{key}", "1"]),
    (Right::Denied, &["publish", "{key}", "x"]),
    (Right::Denied, &["keys", "*"]),
    (Right::Denied, &["scan", "0"]),
    (Right::Denied, &["randomkey"]),
    (Right::Denied, &["dbsize"]),
    (Right::Denied, &["swapdb", "0", "1"]),
    (Right::Denied, &["flushall"]),
    (Right::Denied, &["flushdb"]),
    (Right::Denied, &["eval", "return 1", "0"]),
    (Right::Denied, &["fcall", "x", "0"]),
    (Right::Denied, &["function", "flush"]),
    (Right::Denied, &["script", "flush"]),
    (Right::Denied, &["acl", "getuser", "x"]),
    (Right::Denied, &["acl", "save"]),
    (Right::Denied, &["acl", "log"]),
    (Right::Denied, &["client", "kill", "id", "1"]),
    (Right::Denied, &["client", "list"]),
    (Right::Denied, &["module", "load", "x"]),
    (Right::Denied, &["psync", "?", "-1"]),
    (Right::Denied, &["debug", "sleep", "0"]),
    (Right::Denied, &["monitor"]),
    (Right::Denied, &["save"]),
    (Right::Denied, &["bgrewriteaof"]),
    (Right::Denied, &["slowlog", "get"]),
    (Right::Denied, &["shutdown"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            purpose: Purpose::Durable,
            number: 1,
            members: 1,
            key_prefix: "shop:local:".to_owned(),
            apps: vec![AppName::new("api").unwrap()],
            max_memory: 1 << 26,
            eviction: "noeviction".to_owned(),
            counts_limits: false,
            rest: false,
        }
    }

    fn ours(password: &str) -> Versioned {
        Versioned { secret: Secret::new(password.to_owned()), version: 1, state: secrets::VersionState::Current }
    }

    fn login(password: &str, version: u32) -> (AppName, Versioned) {
        let state = secrets::VersionState::Current;
        (AppName::new("api").unwrap(), Versioned { secret: Secret::new(password.to_owned()), version, state })
    }

    #[test]
    fn each_version_of_a_password_is_a_user_of_its_own() {
        let users = users(&settings(), &[ours("a")], None, &[], &[login("new", 4), login("old", 3)]);
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["default", ADMIN, "app-api.b", "app-api"]);
        assert!(names[2..].iter().all(|name| comes_and_goes(name, &settings())));
        assert!(!comes_and_goes(ADMIN, &settings()) && !comes_and_goes("app-api.c", &settings()));
        assert_ne!(users[2].digests, users[3].digests);
        assert_eq!(
            users[2].rules().replace(&users[2].digests[0], ""),
            users[3].rules().replace(&users[3].digests[0], "")
        );
    }

    #[test]
    fn edges_have_keys_that_no_app_has() {
        let settings = Settings { counts_limits: true, ..settings() };
        let users = users(&settings, &[ours("a")], None, &[ours("e")], &[login("b", 1)]);
        let rules = |name: &str| users.iter().find(|user| user.name == name).unwrap().rules();
        assert!(rules(EDGE).contains(" ~edge:shop:local:* "), "{}", rules(EDGE));
        assert!(rules("app-api").contains(" ~shop:local:* "), "{}", rules("app-api"));
        assert!(comes_and_goes(EDGE, &settings), "it comes without closing anybody's connection");
    }

    #[test]
    fn the_file_holds_digests_and_no_password() {
        let text = render(&users(&settings(), &[ours("admin-password")], None, &[], &[login("open-sesame", 1)]));
        assert!(!text.contains("open-sesame") && !text.contains("admin-password"), "{text}");
        assert!(text.contains(&checksum::of_bytes(b"open-sesame")), "{text}");
        assert!(text.starts_with("user default off "), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_user_with_more_than_asked_for_is_noticed() {
        let users = users(&settings(), &[ours("a")], None, &[], &[login("b", 1)]);
        let app = &users[2];
        let digest = &app.digests[0];
        let agrees_with = |line: String| agrees(app, &parse_line(&line).unwrap());
        assert!(agrees_with(format!("user app-api on #{digest} ~shop:local:* &shop:local:* +@all -@admin")));
        for line in [
            format!("user app-api on #{digest} ~* &shop:local:* +@all"),
            format!("user app-api on #{digest} ~shop:local:* %R~other:* &shop:local:* +@all"),
            format!("user app-api on nopass #{digest} ~shop:local:* &shop:local:* +@all"),
            format!("user app-api on #{digest} #{} ~shop:local:* &shop:local:* +@all", "0".repeat(64)),
            format!("user app-api off #{digest} ~shop:local:* &shop:local:* +@all"),
            format!("user app-api on #{digest} ~shop:local:* &shop:local:* +@all (~* +get)"),
        ] {
            assert!(!agrees_with(line.clone()), "{line}");
        }
    }
}
