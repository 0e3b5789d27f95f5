//! `redis.conf`. It holds no secret, but says where they are: 0600.

use std::path::Path;

use super::place::Place;

pub(crate) fn render(place: &Place) -> String {
    format!(
        "# Written by Roadbed; changes here are overwritten.\n\
         bind 127.0.0.1\n\
         port {port}\n\
         protected-mode yes\n\
         aclfile {acl}\n\
         enable-debug-command no\n\
         enable-module-command no\n\
         enable-protected-configs no\n\
         dir {data}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory {memory}\n\
         maxmemory-policy {eviction}\n\
         daemonize no\n\
         supervised no\n\
         logfile \"\"\n\
         loglevel notice\n\
         databases 1\n\
         tcp-keepalive 60\n\
         crash-memcheck-enabled no\n",
        port = place.port,
        acl = quoted(&place.acl_file()),
        data = quoted(&place.data),
        memory = place.settings.max_memory,
        eviction = place.settings.eviction,
    )
}

/// A double-quoted word as `redis.conf` reads it.
fn quoted(path: &Path) -> String {
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
