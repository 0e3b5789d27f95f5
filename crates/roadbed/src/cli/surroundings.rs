//! What the command takes from the user's environment, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What build tools need to find programs, proxies, registries and certificates. Everything else stays outside: neither apps
/// nor builds see the user's shell.
const TOOL_VARIABLES: [&str; 30] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_INDEX_URL",
    "npm_config_registry",
    "npm_config_userconfig",
    "npm_config_cafile",
    "npm_config_cache",
    "npm_config_prefer_offline",
];

/// The user's environment as far as a command uses it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    pub folder: PathBuf,
    /// The command line, for whoever finds the root held by us.
    pub command_line: String,
}

impl Surroundings {
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, folder: PathBuf, command_line: String) -> Self {
        Self { variables: variables.into_iter().collect(), folder, command_line }
    }

    /// As from another folder.
    pub fn at(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    /// As without a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// As with a variable, in place of the one of that name.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    pub fn tools(&self) -> BTreeMap<String, String> {
        TOOL_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), self.variable(name)?))).collect()
    }

    /// Where fetched engines are kept, for all environments of this user; `None` if the user has no home.
    pub fn cache(&self) -> Option<PathBuf> {
        let absolute = |name: &str| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        base.map(|base| base.join("roadbed"))
    }

    /// Where this user keeps what programs remember, of which the list of roots is ours; `None` if the user has no home.
    pub fn state(&self) -> Option<PathBuf> {
        let absolute = |name: &str| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        base.map(|base| base.join("roadbed"))
    }

    /// Where this user keeps settings, of which the operator's identity is ours; `None` if the user has no home.
    pub fn config(&self) -> Option<PathBuf> {
        let absolute = |name: &str| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        base.map(|base| base.join("roadbed"))
    }

    /// A path as the user would type it from here.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_see_paths_and_proxies_and_no_secret_of_the_shell() {
        let variables = [("PATH", "/bin"), ("https_proxy", "http://p"), ("AWS_SECRET_ACCESS_KEY", "x")];
        let surroundings =
            Surroundings::new(variables.map(|(name, value)| (name.into(), value.into())), "/".into(), String::new());
        assert_eq!(surroundings.tools().keys().collect::<Vec<_>>(), ["PATH", "https_proxy"]);
    }

    #[test]
    fn the_cache_is_where_the_user_keeps_caches() {
        let of = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Surroundings::new(variables, "/".into(), String::new()).cache()
        };
        assert_eq!(of(&[("HOME", "/home/u")]), Some("/home/u/.cache/roadbed".into()));
        assert_eq!(of(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")]), Some("/c/roadbed".into()));
        assert_eq!(of(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "relative")]), Some("/home/u/.cache/roadbed".into()));
        assert_eq!(of(&[]), None);
    }
}
