//! Which process may reach which port, as rules of the machine's packet filter.
//!
//! ```text
//!   port of a service   its own user, the apps that need it, root
//!   port of an app      root, whose edge forwards to it
//!   internal socket     the apps that need the app behind it, root
//!   visitors' ports     the networks that visitors may come from
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

/// Control, keeper and edge run as it, and whoever is root can lift any rule.
const ROOT: u32 = 0;

/// A port on loopback, and who may reach it beside root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// `mongodb`, `api-1`, `api-internal`
    pub what: String,
    pub port: u16,
    pub users: BTreeSet<u32>,
}

/// Everything the packet filter holds for one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Sorted by name.
    pub guarded: Vec<Guarded>,
    pub public_ports: BTreeSet<u16>,
    /// Empty: everybody.
    pub visitors: Vec<IpNet>,
}

/// The table of a root: one of its own, replaced whole.
pub fn table_of(root: &Path) -> String {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    format!("{TABLES}{}", hex(&digest[..8]))
}

/// What the names of all tables of all roots begin with.
pub(super) const TABLES: &str = "roadbed_";

/// Before the root's path, in the comment of the rule that says whose table it is.
pub(super) const OWNER: &str = "root ";

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.guarded.is_empty() && self.visitors.is_empty()
    }

    /// The comments that its rules have, in order: what the filter has is compared by them. Each holds what its rule says.
    pub fn comments(&self, root: &Path) -> Vec<String> {
        let mut comments = vec![owner(root)];
        comments.extend(self.guarded.iter().map(comment));
        if !self.visitors.is_empty() {
            comments.push(self.visitors_comment());
        }
        comments
    }

    /// The text for `nft -f`: it replaces the table in one transaction, whether it was there or not.
    pub fn script(&self, root: &Path) -> String {
        let table = table_of(root);
        let mut text = format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
        let _ = writeln!(text, "  chain owner {{\n    counter comment \"{}\"\n  }}", owner(root));
        text += "  chain inside {\n    type filter hook output priority filter; policy accept;\n";
        for guarded in &self.guarded {
            let users: BTreeSet<u32> = guarded.users.iter().copied().chain([ROOT]).collect();
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "    oif \"lo\" tcp dport {} meta skuid != {{ {} }} counter reject with tcp reset comment \"{}\"",
                guarded.port,
                users.join(", "),
                comment(guarded)
            );
        }
        text += "  }\n";
        if !self.visitors.is_empty() {
            text += &self.visitor_chains();
        }
        text + "}\n"
    }

    fn visitor_chains(&self) -> String {
        let ports: Vec<String> = self.public_ports.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "  chain visitors {{\n    type filter hook input priority filter; policy accept;\n    iif != \"lo\" tcp dport {{ {} }} jump strangers\n  }}\n  chain strangers {{\n",
            ports.join(", ")
        );
        let (of_v4, of_v6): (Vec<&IpNet>, Vec<&IpNet>) =
            self.visitors.iter().partition(|network| matches!(network, IpNet::V4(_)));
        for (family, networks) in [("ip", of_v4), ("ip6", of_v6)] {
            if !networks.is_empty() {
                let networks: Vec<String> = networks.into_iter().map(ToString::to_string).collect();
                let _ = writeln!(text, "    {family} saddr {{ {} }} return", networks.join(", "));
            }
        }
        let _ = writeln!(text, "    counter drop comment \"{}\"\n  }}", self.visitors_comment());
        text
    }

    fn visitors_comment(&self) -> String {
        format!("visitors {}", digest(&format!("{:?} {:?}", self.public_ports, self.visitors)))
    }
}

fn comment(guarded: &Guarded) -> String {
    format!("{} {}", guarded.what, digest(&format!("{guarded:?}")))
}

/// Whose table it is, so that one that outlived its environment is known as such. What a comment cannot hold is left out; such a
/// table is found by its own root only.
fn owner(root: &Path) -> String {
    let path = root.to_str().filter(|path| path.len() <= 100 && !path.contains(['"', '\n', '\\'])).unwrap_or_default();
    format!("{OWNER}{path}")
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..6])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let guarded = |what: &str, port, users: &[u32]| Guarded {
            what: what.to_owned(),
            port,
            users: users.iter().copied().collect(),
        };
        Rules {
            guarded: vec![guarded("api-1", 4001, &[]), guarded("mongodb", 27017, &[61_001, 61_002])],
            public_ports: [80, 443].into(),
            visitors: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        }
    }

    #[test]
    fn a_table_is_replaced_whole_and_says_whose_it_is() {
        let root = Path::new("/srv/shop/staging");
        let script = rules().script(root);
        let table = table_of(root);
        assert!(script.starts_with(&format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{")));
        for line in [
            "counter comment \"root /srv/shop/staging\"",
            "oif \"lo\" tcp dport 4001 meta skuid != { 0 } counter reject with tcp reset",
            "oif \"lo\" tcp dport 27017 meta skuid != { 0, 61001, 61002 } counter reject with tcp reset",
            "iif != \"lo\" tcp dport { 80, 443 } jump strangers",
            "ip saddr { 10.0.0.0/8 } return",
            "ip6 saddr { 2001:db8::/32 } return",
        ] {
            assert!(script.contains(line), "{line} in {script}");
        }
        for comment in rules().comments(root) {
            assert!(script.contains(&format!("comment \"{comment}\"")), "{comment}");
            assert!(comment.len() <= 128, "{comment}");
        }
    }

    #[test]
    fn a_comment_changes_with_what_its_rule_says() {
        let root = Path::new("/r");
        let before = rules().comments(root);
        let mut changed = rules();
        changed.guarded[1].users.insert(7);
        changed.visitors.pop();
        let after = changed.comments(root);
        assert_eq!(before[..2], after[..2]);
        assert_ne!(before[2], after[2]);
        assert_ne!(before[3], after[3]);
        assert_ne!(table_of(root), table_of(Path::new("/s")));
    }

    #[test]
    fn a_root_with_an_odd_path_is_not_quoted_into_the_script() {
        let script = rules().script(Path::new("/tmp/a\" ; drop"));
        assert!(!script.contains("drop\""), "{script}");
        assert!(script.contains("comment \"root \""));
    }
}
