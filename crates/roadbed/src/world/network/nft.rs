//! The machine's packet filter, by its own program `nft`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::{Run, Stream, find_in_path, run};
use reconcile::Fault;
use serde_json::Value;

use super::rules::{OWNER, TABLES};

/// It answers in milliseconds; a machine that is out of memory takes its time.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where administrators' programs are, which users' PATH often leaves out.
const PLACES: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Where it is missing.
const HINT: &str =
    "install nftables and run as root, or set enforce = \"when-possible\" or \"off\" for the environment's network";

/// The program.
#[derive(Clone, Debug)]
pub struct Nft {
    program: PathBuf,
}

/// A table of some root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// Path of its root; `None` where a comment could not hold it.
    pub root: Option<PathBuf>,
    /// The comments of its rules, in order.
    pub comments: Vec<String>,
}

impl Nft {
    /// `Err`: there is no such program. Whether it may be used shows when it is asked.
    pub fn find(path: &str) -> Result<Self, Fault> {
        let found = find_in_path("nft", path).or_else(|| find_in_path("nft", PLACES));
        let program = found.ok_or_else(|| cannot().cause("there is no program nft"))?;
        Ok(Self { program })
    }

    /// One table by its name. `Err` says why the packet filter cannot be used.
    pub async fn table(&self, name: &str) -> Result<Option<Table>, Fault> {
        // Each question is a process, and this one mostly suffices.
        if let Ok(text) = self.run(&["-j", "list", "table", "inet", name]).await {
            return table(name.to_owned(), &text).map(Some);
        }
        Ok(self.tables().await?.into_iter().find(|table| table.name == name))
    }

    /// The tables of all roots. `Err` says why the packet filter cannot be used.
    pub async fn tables(&self) -> Result<Vec<Table>, Fault> {
        // Listing takes the same rights as changing.
        let listed = self.run(&["-j", "list", "tables"]).await.map_err(|fault| {
            let mut told = cannot();
            told.causes = std::iter::once(fault.message).chain(fault.causes).collect();
            told
        })?;
        let mut tables = Vec::new();
        for name in names(&listed)? {
            // Gone meanwhile is as good as not there.
            if let Ok(text) = self.run(&["-j", "list", "table", "inet", &name]).await {
                tables.push(table(name, &text)?);
            }
        }
        Ok(tables)
    }

    /// Replaces a table in one transaction. The script lies in a file of the root: it says nothing that is secret.
    pub async fn load(&self, file: &Path, script: &str) -> Result<(), Fault> {
        files::write_durable(file, script.as_bytes(), Access::Owner)
            .map_err(|fault| Fault::because("cannot write the rules of the packet filter", &fault))?;
        self.run(&["-f", &file.to_string_lossy()]).await.map(drop)
    }

    /// Removes a table; one that is not there is as good as removed.
    pub async fn remove(&self, file: &Path, table: &str) -> Result<(), Fault> {
        // Added first, in one transaction: so nobody who removes it at the same time makes this a fault.
        self.load(file, &format!("table inet {table}\ndelete table inet {table}\n")).await
    }

    async fn run(&self, args: &[&str]) -> Result<String, Fault> {
        let command = Run {
            program: self.program.clone(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            cwd: PathBuf::from("/"),
            env: BTreeMap::from([("PATH".to_owned(), PLACES.to_owned())]),
            deadline: DEADLINE,
        };
        let (mut out, mut said) = (String::new(), Vec::new());
        let finished = run(&command, &mut |stream, line| match stream {
            Stream::Out => {
                out.push_str(line);
                out.push('\n');
            }
            Stream::Err => said.push(line.to_owned()),
        })
        .await
        .map_err(|fault| Fault::because("cannot run nft", &fault))?;
        if finished.success() {
            return Ok(out);
        }
        let what = format!("`nft {}` failed", args.join(" "));
        Err(Fault::new(what).cause(finished.describe()).output(said))
    }
}

fn cannot() -> Fault {
    Fault::new("cannot use the packet filter of this machine").hint(HINT)
}

fn document(text: &str) -> Result<Vec<Value>, Fault> {
    let json: Value =
        serde_json::from_str(text).map_err(|error| Fault::because("cannot read what nft answers", &error))?;
    Ok(json["nftables"].as_array().cloned().unwrap_or_default())
}

fn names(text: &str) -> Result<Vec<String>, Fault> {
    let tables = document(text)?;
    let ours = tables
        .iter()
        .filter(|item| item["table"]["family"] == "inet")
        .filter_map(|item| item["table"]["name"].as_str());
    Ok(ours.filter(|name| name.starts_with(TABLES)).map(str::to_owned).collect())
}

fn table(name: String, text: &str) -> Result<Table, Fault> {
    let comments = document(text)?;
    let comments: Vec<String> =
        comments.iter().filter_map(|item| item["rule"]["comment"].as_str()).map(str::to_owned).collect();
    let root = comments.iter().find_map(|comment| comment.strip_prefix(OWNER)).filter(|path| !path.is_empty());
    Ok(Table { name, root: root.map(PathBuf::from), comments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nft_answers_is_read() {
        let listed = r#"{"nftables": [{"metainfo": {}}, {"table": {"family": "inet", "name": "roadbed_ab", "handle": 1}},
            {"table": {"family": "ip", "name": "nat"}}, {"table": {"family": "inet", "name": "firewalld"}}]}"#;
        assert_eq!(names(listed).unwrap(), ["roadbed_ab"]);
        let text = r#"{"nftables": [{"table": {"name": "roadbed_ab"}}, {"chain": {"name": "owner"}},
            {"rule": {"comment": "root /srv/a"}}, {"rule": {"comment": "mongodb 12"}}, {"rule": {"handle": 4}}]}"#;
        let table = table("roadbed_ab".to_owned(), text).unwrap();
        assert_eq!(table.root, Some(PathBuf::from("/srv/a")));
        assert_eq!(table.comments, ["root /srv/a", "mongodb 12"]);
        assert!(names("nonsense").is_err());
    }
}
