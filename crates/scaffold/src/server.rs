//! How a Node server is built and started, as its package or its Dockerfile says.

use std::path::Path;

use host::files;

use crate::package::Package;
use crate::survey::SurveyFault;

/// How a server is built and started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Words of the command, without a shell.
    pub start: Vec<String>,
    pub build: Build,
}

/// How it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// By its script `build`, into a folder.
    Script { output: String },
    /// Not at all: a folder is what is started.
    Folder { output: String },
    /// Not at all, and it lies beside its `package.json`: these names are copied into `dist`, so that a release has nothing else in it.
    Copy { names: Vec<String> },
}

/// What a package that does not say it starts with.
const USUAL: [&str; 8] = [
    "dist/server.js",
    "dist/index.js",
    "dist/main.js",
    "src/server.js",
    "src/index.js",
    "server.js",
    "index.js",
    "app.js",
];

/// What lies beside `package.json` and is no part of a server that runs.
const NOT_COPIED: [&str; 17] = [
    "node_modules",
    "package-lock.json",
    "dist",
    "build",
    "test",
    "tests",
    "__tests__",
    "docs",
    "coverage",
    "roadbed.toml",
    "Dockerfile",
    "README.md",
    "LICENSE",
    "apps",
    "packages",
    "schema",
    "target",
];

/// How the server of a folder is started; `None` where nothing says so.
pub(crate) fn of(folder: &Path, package: &Package) -> Result<Option<Server>, SurveyFault> {
    let builds = package.script("build").is_some();
    let start = match package.script("start").and_then(words) {
        Some(words) => Some(words),
        None => by_dockerfile(folder)?.or_else(|| by_file(folder, package, builds)),
    };
    let Some(mut start) = start else { return Ok(None) };
    let Some(at) = start.iter().skip(1).position(|word| !word.starts_with('-')).map(|at| at + 1) else {
        return Ok(None);
    };
    let entry = start[at].trim_start_matches("./").to_owned();
    let within = entry.split_once('/').map(|(folder, _)| folder.to_owned());
    let build = match (builds, within) {
        (true, within) => Build::Script { output: within.unwrap_or_else(|| "dist".to_owned()) },
        (false, Some(output)) => Build::Folder { output },
        (false, None) => {
            start[at] = format!("dist/{entry}");
            Build::Copy { names: beside(folder)? }
        }
    };
    Ok(Some(Server { start, build }))
}

/// A script that is one program of Node, as words. What takes a shell, or another program, is for a person to say.
fn words(script: &str) -> Option<Vec<String>> {
    let takes_a_shell = script.contains(['&', '|', ';', '$', '`', '<', '>', '"', '\'', '*', '(', '=']);
    let words: Vec<String> = script.split_whitespace().map(str::to_owned).collect();
    (!takes_a_shell && words.first().is_some_and(|program| program == "node")).then_some(words)
}

/// `CMD ["node", "dist/server.js"]`, or an entry point that is written so.
fn by_dockerfile(folder: &Path) -> Result<Option<Vec<String>>, SurveyFault> {
    let Some(text) = files::read_if_exists(&folder.join("Dockerfile"))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&text).into_owned();
    let list = |line: &str| {
        let rest = line.trim().strip_prefix("CMD").or_else(|| line.trim().strip_prefix("ENTRYPOINT"))?;
        serde_json::from_str::<Vec<String>>(rest.trim()).ok()
    };
    // The last one counts, as it does for whoever builds the image.
    let mut commands = text.lines().rev().filter_map(list);
    Ok(commands.find(|words| words.first().is_some_and(|program| program == "node") && words.len() > 1))
}

fn by_file(folder: &Path, package: &Package, builds: bool) -> Option<Vec<String>> {
    let entry = package.main.clone().filter(|main| builds || files::exists(&folder.join(main)));
    // What a build is going to make is not there yet.
    let is_there = |entry: &&&str| files::exists(&folder.join(entry)) || (builds && entry.starts_with("dist/"));
    let entry = entry.or_else(|| USUAL.iter().find(is_there).map(|entry| (*entry).to_owned()))?;
    Some(vec!["node".to_owned(), entry])
}

fn beside(folder: &Path) -> Result<Vec<String>, SurveyFault> {
    let names = files::list(folder)?.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let is_plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    Ok(names.filter(|name| !name.starts_with('.') && !NOT_COPIED.contains(&name.as_str()) && is_plain(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_of_node_is_taken_for_words() {
        assert_eq!(words("node  dist/server.js").unwrap(), ["node", "dist/server.js"]);
        assert_eq!(words("node --enable-source-maps dist/server.js").unwrap().len(), 3);
        for other in ["next start", "NODE_ENV=production node x.js", "node a.js && node b.js", "npm run serve", ""] {
            assert_eq!(words(other), None, "{other}");
        }
    }
}
