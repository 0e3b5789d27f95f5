//! The machine that engines are searched on: what it is, and which part of the user's environment a fetch may see.

use std::collections::BTreeMap;
use std::path::Path;

use host::files;
use reconcile::Fault;

/// Kernel architecture and distribution, as `engines.toml` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// `debian-12`, `ubuntu-22.04`; `unknown` where /etc/os-release says nothing.
    pub os: String,
}

impl Platform {
    /// This machine.
    pub fn detect() -> Result<Self, Fault> {
        let release = files::read_if_exists(Path::new("/etc/os-release"))
            .map_err(|fault| Fault::because("cannot tell which distribution this is", &fault))?
            .unwrap_or_default();
        Ok(Self { arch: std::env::consts::ARCH.to_owned(), os: os_of(&String::from_utf8_lossy(&release)) })
    }
}

fn os_of(os_release: &str) -> String {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    match (value("ID"), value("VERSION_ID")) {
        (Some(id), Some(version)) => format!("{id}-{version}"),
        (Some(id), None) => id,
        (None, _) => "unknown".to_owned(),
    }
}

/// Where to search, and with which environment.
#[derive(Clone, Debug)]
pub struct Machine {
    pub platform: Platform,
    /// The user's `PATH`.
    pub path: String,
    /// What pip and apt-get are given: search path, home, proxies, certificates. Nothing else is inherited.
    pub env: BTreeMap<String, String>,
}

impl Machine {
    /// `vars` are the user's environment variables, read once at the top of the program.
    pub fn new(platform: Platform, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env: BTreeMap<String, String> = vars.into_iter().filter(|(name, _)| is_passed_on(name)).collect();
        // apt-get and pip are read by a program here, not by a person.
        env.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
        let path = env.entry("PATH".to_owned()).or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".to_owned()).clone();
        Self { platform, path, env }
    }
}

/// Fetching goes through the user's own clients, so their settings for proxies, mirrors and certificates count.
fn is_passed_on(name: &str) -> bool {
    const NAMES: [&str; 7] =
        ["PATH", "HOME", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_HOME"];
    const PREFIXES: [&str; 2] = ["PIP_", "PYENV_"];
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.to_ascii_lowercase().ends_with("_proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_named_by_id_and_version() {
        assert_eq!(os_of("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n"), "debian-12");
        assert_eq!(os_of("ID=arch\n"), "arch");
        assert_eq!(os_of(""), "unknown");
    }

    #[test]
    fn only_what_a_fetch_needs_is_passed_on() {
        let vars = [("PATH", "/bin"), ("https_proxy", "http://p"), ("AWS_SECRET_ACCESS_KEY", "x"), ("PIP_CERT", "/c")];
        let machine = Machine::new(
            Platform { arch: "x86_64".into(), os: "debian-12".into() },
            vars.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let names: Vec<_> = machine.env.keys().map(String::as_str).collect();
        assert_eq!(names, ["LC_ALL", "PATH", "PIP_CERT", "https_proxy"]);
    }
}
