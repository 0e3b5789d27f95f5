//! Operations on a Redis or a sentinel, the kinds of credentials that open one, and which may do which.

use manifest::environment;

use super::Whose;
use crate::redis::acl::{Scope, Who};
use crate::redis::{GROUP, Purpose};

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    App,
    LentOfApp,
    LentToRead,
    /// Our own user.
    Administrator,
    /// By which replicas and sentinels know each other.
    Members,
    /// The edges, which count limits.
    Edge,
    Nobody,
}

impl Kind {
    /// Those of a Redis, or of a sentinel beside one. Not every Redis has members and edges.
    pub(crate) fn of(some: &[environment::Redis]) -> Vec<Self> {
        let all = [
            Self::App,
            Self::LentOfApp,
            Self::LentToRead,
            Self::Administrator,
            Self::Members,
            Self::Edge,
            Self::Nobody,
        ];
        let has = |kind: &Self| match kind {
            Self::Members => some.iter().any(|redis| redis.replicas > 0),
            Self::Edge => some.iter().any(|redis| redis.counts_limits),
            _ => true,
        };
        all.into_iter().filter(has).collect()
    }

    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::LentOfApp => "lent, as app",
            Self::LentToRead => "lent, to read",
            Self::Administrator => "administrator",
            Self::Members => "members' password",
            Self::Edge => "edges, which count limits",
            Self::Nobody => "no login",
        }
    }

    fn who(self) -> Who {
        match self {
            Self::App | Self::LentOfApp => Who::App,
            Self::LentToRead => Who::Reader,
            Self::Administrator => Who::Administrator,
            Self::Members => Who::Member,
            Self::Edge => Who::Edge,
            Self::Nobody => Who::Nobody,
        }
    }

    pub(crate) fn may(self, operation: &Operation, purpose: Purpose) -> bool {
        let who = self.who();
        let names = match (operation.names, who.scope(purpose, "own:")) {
            (Named::Nothing, _) => true,
            // What is an app's own is not theirs.
            (Named::Key(_) | Named::Channel(_), Scope::Prefix(prefix)) if prefix != "own:" => false,
            (Named::Key(whose), Scope::Prefix(_)) | (Named::Channel(whose), Scope::Prefix(_)) => whose == Whose::Own,
            (Named::Key(_) | Named::Channel(_), Scope::Everything) | (Named::Channel(_), Scope::Channels) => true,
            // That it reads alone is in its commands.
            (Named::Key(whose), Scope::ReadPrefix(_)) => whose == Whose::Own,
            (Named::Channel(_), Scope::ReadPrefix(_)) => false,
            (Named::Key(_) | Named::Channel(_), Scope::Nothing) | (Named::Key(_), Scope::Channels) => false,
        };
        names && operation.command.is_among(who.commands(purpose))
    }
}

/// What an operation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Nothing,
    Key(Whose),
    Channel(Whose),
}

/// A command as the rules of users see it.
#[derive(Clone, Copy, Debug)]
struct Command {
    name: &'static str,
    subcommand: Option<&'static str>,
    /// As Redis's manual has them, as far as a rule of ours names them.
    categories: &'static [&'static str],
}

impl Command {
    /// Whether rules such as `-@all +@read +acl|list` leave it allowed: the last that is about it decides.
    fn is_among(&self, rules: &str) -> bool {
        let is_about = |what: &str| match what.strip_prefix('@') {
            Some("all") => true,
            Some(category) => self.categories.contains(&category),
            None => match what.split_once('|') {
                Some((name, subcommand)) => name == self.name && Some(subcommand) == self.subcommand,
                None => what == self.name,
            },
        };
        let rules = rules.split(' ').filter_map(|rule| rule.split_at_checked(1));
        let mut about = rules.filter(|(_, what)| is_about(what));
        about.next_back().is_some_and(|(sign, _)| sign == "+")
    }
}

/// Something that somebody might do.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    command: Command,
    names: Named,
    /// What is sent. Harmless, also where it is let through.
    pub(crate) words: Vec<String>,
    /// Beginning of what the server says to those whom it would let, where it cannot do what we say.
    pub(crate) ends_with: &'static [&'static str],
}

const KEYSPACE_DANGER: &[&str] = &["keyspace", "read", "dangerous"];
const ADMIN: &[&str] = &["admin", "dangerous"];

/// What a server says of a word that it does not know, or of a number that is none.
const NO_SUCH_WORD: &[&str] = &["ERR"];
/// A replica takes nothing from anybody but its primary.
const AT_A_REPLICA: &[&str] = &["READONLY"];

/// Those at a server of this purpose, in the order in which they are tried. Keys have `nonce` in their names, so that they are
/// nobody's, and go by themselves should we be killed in between.
pub(crate) fn operations(purpose: Purpose, prefix: &str, nonce: &str) -> Vec<Operation> {
    match purpose {
        Purpose::Durable | Purpose::Cache => of_data(prefix, nonce),
        Purpose::Sentinel => of_sentinel(),
    }
}

fn of_data(prefix: &str, nonce: &str) -> Vec<Operation> {
    let own = format!("{prefix}roadbed-probe:{nonce}");
    let other = format!("roadbed-probe:{nonce}");
    let on_key = |whose, name, command: &'static str, category: &'static [&'static str], rest: &[&str]| {
        let key = if whose == Whose::Own { &own } else { &other };
        operation(whose, name, (command, None, category), Named::Key(whose), &[&[command, key.as_str()], rest].concat())
    };
    let publish = |whose, name| {
        let channel = if whose == Whose::Own { &own } else { &other };
        operation(whose, name, ("publish", None, &["pubsub"]), Named::Channel(whose), &["publish", channel, ""])
    };
    let on_server = |name, command: (&'static str, Option<&'static str>, &'static [&'static str]), words: &[&str]| {
        operation(Whose::Server, name, command, Named::Nothing, words)
    };
    vec![
        on_server("log in", ("ping", None, &["connection"]), &["ping"]),
        on_key(Whose::Own, "write", "set", &["write"], &["1", "ex", "10"]).ends_with(AT_A_REPLICA),
        on_key(Whose::Own, "read", "get", &["read"], &[]),
        on_key(Whose::Own, "remove", "del", &["keyspace", "write"], &[]).ends_with(AT_A_REPLICA),
        publish(Whose::Own, "publish"),
        on_key(Whose::Other, "write what others have", "set", &["write"], &["1", "ex", "10"]).ends_with(AT_A_REPLICA),
        on_key(Whose::Other, "read what others have", "get", &["read"], &[]),
        on_key(Whose::Other, "remove what others have", "del", &["keyspace", "write"], &[]).ends_with(AT_A_REPLICA),
        publish(Whose::Other, "publish where others listen"),
        on_server("walk the keys", ("scan", None, &["keyspace", "read"]), &["scan", "0", "count", "1"]),
        on_server("list all keys", ("keys", None, KEYSPACE_DANGER), &["keys", &other]),
        on_server("run a script", ("eval", None, &["scripting"]), &["eval", "return 1", "0"]),
        // There is no such way to empty it.
        on_server("empty it", ("flushall", None, &["keyspace", "write", "dangerous"]), &["flushall", "roadbed-probe"])
            .ends_with(NO_SUCH_WORD),
        on_server("list users", ("acl", Some("list"), ADMIN), &["acl", "list"]),
        on_server("change users", ("acl", Some("deluser"), ADMIN), &["acl", "deluser", "roadbed-probe-absent"]),
        on_server("read a setting", ("config", Some("get"), ADMIN), &["config", "get", "port"]),
        on_server("change a setting", ("config", Some("set"), ADMIN), &["config", "set", "roadbed-probe", "1"])
            .ends_with(NO_SUCH_WORD),
        on_server("see its state", ("info", None, &["dangerous"]), &["info", "server"]),
        on_server(
            "see who is connected",
            ("client", Some("list"), &["admin", "dangerous", "connection"]),
            &["client", "list", "id", "0"],
        ),
        on_server("list functions", ("function", Some("list"), &["scripting"]), &["function", "list"]),
        on_server("copy it as a replica", ("replconf", None, ADMIN), &["replconf", "roadbed-probe", "1"])
            .ends_with(NO_SUCH_WORD),
        // A port that is no number.
        on_server("make it follow another", ("replicaof", None, ADMIN), &["replicaof", "127.0.0.1", "roadbed-probe"])
            .ends_with(NO_SUCH_WORD),
    ]
}

fn of_sentinel() -> Vec<Operation> {
    let ask = |name, command: (&'static str, Option<&'static str>, &'static [&'static str]), words: &[&str]| {
        operation(Whose::Server, name, command, Named::Nothing, words)
    };
    let sentinel = |name, subcommand, rest: &[&str]| {
        let words = [&["sentinel", subcommand], rest].concat();
        ask(name, ("sentinel", Some(subcommand), ADMIN), &words).ends_with(NO_SUCH_WORD)
    };
    vec![
        ask("log in", ("ping", None, &["connection"]), &["ping"]),
        sentinel("ask who is primary", "get-master-addr-by-name", &[GROUP]),
        sentinel("see the replicas", "replicas", &[GROUP]),
        ask("see its state", ("info", None, &["dangerous"]), &["info", "server"]),
        // It is asked and not told: `*` votes for nobody.
        sentinel("ask whether the primary lives", "is-master-down-by-addr", &["127.0.0.1", "1", "0", "*"]),
        sentinel("make another primary", "failover", &["roadbed-probe-absent"]),
        sentinel("change what it watches", "set", &["roadbed-probe-absent", "quorum", "1"]),
        sentinel("make it watch nothing", "remove", &["roadbed-probe-absent"]),
        ask("list users", ("acl", Some("list"), ADMIN), &["acl", "list"]),
        ask("change users", ("acl", Some("deluser"), ADMIN), &["acl", "deluser", "roadbed-probe-absent"]),
    ]
}

fn operation(
    whose: Whose,
    name: &'static str,
    (command, subcommand, categories): (&'static str, Option<&'static str>, &'static [&'static str]),
    names: Named,
    words: &[&str],
) -> Operation {
    let command = Command { name: command, subcommand, categories };
    Operation {
        name,
        whose,
        command,
        names,
        words: words.iter().map(|&word| word.to_owned()).collect(),
        ends_with: &[],
    }
}

impl Operation {
    fn ends_with(self, words: &'static [&'static str]) -> Self {
        Self { ends_with: words, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(kind: Kind, purpose: Purpose) -> Vec<&'static str> {
        let all = operations(purpose, "shop:local:", "1");
        all.iter().filter(|operation| kind.may(operation, purpose)).map(|operation| operation.name).collect()
    }

    #[test]
    fn the_answers_follow_from_the_rules() {
        assert_eq!(
            allowed(Kind::App, Purpose::Durable),
            ["log in", "write", "read", "remove", "publish", "walk the keys", "run a script", "see its state"]
        );
        assert_eq!(allowed(Kind::App, Purpose::Cache), allowed(Kind::LentOfApp, Purpose::Durable));
        assert_eq!(allowed(Kind::LentToRead, Purpose::Durable), ["log in", "read", "walk the keys", "see its state"]);
        let administrator = allowed(Kind::Administrator, Purpose::Durable);
        assert!(administrator.contains(&"change users") && administrator.contains(&"make it follow another"));
        assert!(!administrator.iter().any(|name| ["read", "write", "empty it", "walk the keys"].contains(name)));
        assert!(allowed(Kind::Members, Purpose::Durable).contains(&"copy it as a replica"));
        assert_eq!(allowed(Kind::Nobody, Purpose::Durable), <[&str; 0]>::default());
        assert_eq!(
            allowed(Kind::App, Purpose::Sentinel),
            ["log in", "ask who is primary", "see the replicas", "see its state"]
        );
    }

    #[test]
    fn the_last_rule_about_a_command_decides() {
        let info = Command { name: "info", subcommand: None, categories: &["dangerous"] };
        let list = Command { name: "acl", subcommand: Some("list"), categories: ADMIN };
        for (rules, may_info, may_list) in [
            ("-@all", false, false),
            ("+@all -@dangerous +info", true, false),
            ("-@all +acl|list", false, true),
            ("-@all +acl -acl|list", false, false),
            ("-@all +acl|load +acl", false, true),
            ("", false, false),
        ] {
            assert_eq!((info.is_among(rules), list.is_among(rules)), (may_info, may_list), "{rules:?}");
        }
    }
}
