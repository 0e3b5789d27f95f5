//! `redis.conf`. It holds no secret, but says where they are: 0600.

use std::fmt::Write as _;
use std::path::Path;

use super::place::Place;
use super::{Purpose, Settings};

pub(crate) fn render(place: &Place) -> String {
    let certificate = quoted(&place.certificate_file());
    let mut text = format!(
        "# Written by Roadbed; changes here are overwritten.\n\
         bind 127.0.0.1\n\
         port 0\n\
         tls-port {port}\n\
         tls-cert-file {certificate}\n\
         tls-key-file {certificate}\n\
         tls-ca-cert-file {authorities}\n\
         tls-auth-clients no\n\
         tls-protocols \"TLSv1.2 TLSv1.3\"\n\
         tls-replication yes\n\
         protected-mode yes\n\
         aclfile {acl}\n\
         enable-debug-command no\n\
         enable-module-command no\n\
         enable-protected-configs no\n\
         dir {data}\n\
         daemonize no\n\
         supervised no\n\
         logfile \"\"\n\
         loglevel notice\n\
         databases 1\n\
         tcp-keepalive 60\n\
         crash-memcheck-enabled no\n\
         aof-load-truncated no\n",
        port = place.port,
        authorities = quoted(&place.authorities_file()),
        acl = quoted(&place.acl_file()),
        data = quoted(&place.data),
    );
    if place.settings.purpose == Purpose::Durable && place.settings.is_replicated() {
        // Without a pause for further replicas: there is one, and it is waited for.
        let _ = writeln!(text, "include {}\nrepl-diskless-sync-delay 0", quoted(&place.replication_file()));
    }
    for (name, value) in parameters(&place.settings) {
        let value = if value.is_empty() { "\"\"" } else { &value };
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// What is promised of the instance, and can be changed in a living server behind our back: each look compares it.
pub(crate) fn parameters(settings: &Settings) -> Vec<(&'static str, String)> {
    let append_only = match settings.purpose {
        Purpose::Durable => "yes",
        Purpose::Cache => "no",
        Purpose::Sentinel => return Vec::new(),
    };
    vec![
        ("maxmemory", settings.max_memory.to_string()),
        ("maxmemory-policy", settings.eviction.clone()),
        ("appendonly", append_only.to_owned()),
        ("appendfsync", "everysec".to_owned()),
        ("save", String::new()),
    ]
}

/// A double-quoted word as `redis.conf` reads it.
pub(super) fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_path_with_spaces_and_quotes_stays_a_path() {
        assert_eq!(quoted(&PathBuf::from(r#"/a b/"c"\d"#)), r#""/a b/\"c\"\\d""#);
    }
}
