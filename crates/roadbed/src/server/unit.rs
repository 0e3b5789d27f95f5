//! The texts of systemd's files, from what is known of an environment. Pure.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use reconcile::Root;

use crate::programs;
use crate::wanted::Wanted;

/// First line of every file of ours: by it a stranger's is told from it.
pub const MARK: &str = "# Written by `roadbed server install`, taken away by `roadbed server uninstall`. Of the root ";

/// What the files are made of.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub root: &'a Root,
    pub wanted: &'a Wanted,
    /// `None`: root, and then each unit has a user of its own.
    pub user: Option<&'a str>,
}

/// What root's keeper does: users and groups of units, their files, mounts, signals, the packet filter, a look at its neighbours.
const RIGHTS: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID \
    CAP_SETPCAP CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_RESOURCE";

/// A user's keeper listens below 1024, and does nothing else of the kind.
const RIGHTS_OF_USER: &str = "CAP_NET_BIND_SERVICE";

impl Subject<'_> {
    /// Name of the service, without its ending.
    pub fn name(&self) -> String {
        let of = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
        };
        format!("roadbed-{}-{}", of(&self.wanted.product), of(&self.wanted.environment))
    }

    fn mark(&self) -> String {
        format!("{MARK}{}\n", self.root.path().display())
    }

    fn project(&self) -> &Path {
        self.wanted.manifest.parent().unwrap_or(Path::new("/"))
    }

    /// Folders that are written, beside the root. Those that are not there are no fault.
    fn written(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.root.path().to_owned(), self.project().to_owned(), self.wanted.cache.clone()];
        folders.extend(self.wanted.state.clone());
        folders.extend(self.wanted.config.clone());
        // npm keeps what it fetched there.
        folders.extend(self.wanted.tools.get("HOME").map(|home| Path::new(home).join(".npm")));
        folders.sort();
        folders.dedup();
        folders
    }

    /// The service.
    pub fn service(&self) -> String {
        let Wanted { product, environment, .. } = self.wanted;
        let root = self.root.path();
        let mut text = self.mark();
        text += &format!(
            "\n[Unit]\nDescription=Roadbed: {} of {}\nDocumentation=man:systemd.service(5)\n\
             Wants=network-online.target\nAfter=network-online.target local-fs.target\nRequiresMountsFor={} {}\n\
             StartLimitIntervalSec=300\nStartLimitBurst=10\n",
            specifier(environment),
            specifier(product),
            path(root),
            path(self.project()),
        );
        text += &format!(
            "\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={} server run --root {}\n",
            path(&programs::current(self.root)),
            path(root),
        );
        text += "Restart=on-failure\nRestartSec=2\n\
            # Builds and databases take their time; what is being stopped is stopped in order.\n\
            TimeoutStartSec=30min\nTimeoutStopSec=3min\n\
            # Only the process that systemd watches is told to go: it stops the environment. Where it dies, the rest goes on.\n\
            KillMode=process\n\
            # A control group for each unit is the keeper's to make.\n\
            Delegate=yes\n\
            OOMScoreAdjust=-500\nLimitNOFILE=524288\nTasksMax=infinity\nUMask=0077\n";
        text += &format!("WorkingDirectory={}\n", path(root));
        for (name, value) in self.variables() {
            let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
        }
        text += &self.hardening();
        text += "\n[Install]\nWantedBy=multi-user.target\n";
        text
    }

    /// What the command line had that brought the environment up.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let tools = &self.wanted.tools;
        let mut variables: Vec<_> =
            ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, tools.get(name)?.clone()))).collect();
        let above = |folder: &Option<PathBuf>| Some(folder.as_ref()?.parent()?.to_string_lossy().into_owned());
        variables.extend(above(&self.wanted.state).map(|folder| ("XDG_STATE_HOME", folder)));
        variables.extend(above(&self.wanted.config).map(|folder| ("XDG_CONFIG_HOME", folder)));
        variables
    }

    fn hardening(&self) -> String {
        let written = self.written();
        let is_below = |folders: &[&str]| {
            written
                .iter()
                .chain([&self.root.programs()])
                .any(|path| folders.iter().any(|above| path.starts_with(above)))
        };
        let mut text = "\n# Read-only but for what is named; nothing that nobody here needs.\nNoNewPrivileges=yes\nProtectSystem=strict\n".to_owned();
        for folder in &written {
            let _ = writeln!(text, "ReadWritePaths=-{}", path(folder));
        }
        // What is ours may lie in a home: then all of them can be read, and only ours written.
        let homes = if is_below(&["/home", "/root", "/run/user"]) { "read-only" } else { "yes" };
        let _ = writeln!(text, "ProtectHome={homes}");
        if !is_below(&["/tmp", "/var/tmp"]) {
            text += "PrivateTmp=yes\n";
        }
        text += "RuntimeDirectory=roadbed\nRuntimeDirectoryMode=0755\nRuntimeDirectoryPreserve=yes\n\
            PrivateDevices=yes\nProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectClock=yes\n\
            ProtectHostname=yes\nLockPersonality=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\n\
            KeyringMode=private\nSystemCallArchitectures=native\n\
            RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
            # Views of units, and the browser that looks at pages.\n\
            RestrictNamespaces=mnt user pid net\n\
            SystemCallFilter=@system-service @mount seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self\n\
            SystemCallErrorNumber=EPERM\n";
        match self.user {
            None => {
                // Not for a user: of those who keep their memory private the kernel then shows nothing, not even to whoever starts
                // them, as the keeper starts control.
                let _ = writeln!(text, "ProtectProc=invisible\nCapabilityBoundingSet={RIGHTS}");
            }
            Some(user) => {
                let _ = writeln!(text, "User={user}\nGroup={user}\nRemoveIPC=yes");
                let _ = writeln!(text, "CapabilityBoundingSet={RIGHTS_OF_USER}\nAmbientCapabilities={RIGHTS_OF_USER}");
            }
        }
        text
    }

    /// The dedicated user; `None`: there is none to make.
    pub fn sysusers(&self) -> Option<String> {
        let user = self.user?;
        let Wanted { product, environment, .. } = self.wanted;
        let home = self.wanted.tools.get("HOME").map_or("/", String::as_str);
        Some(format!("{}u {user} - \"Roadbed, {environment} of {product}\" {home} /usr/sbin/nologin\n", self.mark()))
    }

    /// The folders that must be there before the service.
    pub fn tmpfiles(&self) -> String {
        let user = self.user.unwrap_or("root");
        let root = self.root.path().display().to_string();
        let quoted =
            if root.contains(char::is_whitespace) { format!("\"{}\"", specifier(&root)) } else { specifier(&root) };
        format!("{}d {quoted} 0700 {user} {user} -\n", self.mark())
    }
}

/// systemd expands what begins with `%`.
fn specifier(text: &str) -> String {
    text.replace('%', "%%")
}

/// A path in a list or a command.
fn path(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';' | '$')) {
        return quoted(&text);
    }
    specifier(&text)
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{}\"", specifier(&escaped))
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
