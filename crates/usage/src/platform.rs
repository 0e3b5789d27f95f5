//! Variables that come from neither the manifest nor Roadbed, but from the tool that runs the file: reading those is nobody's
//! mistake.

use crate::Language;

/// In every language; `*` at the end stands for any rest.
const EVERYWHERE: &[&str] = &["CI", "PATH", "HOME", "TMPDIR", "TZ", "LANG", "TERM", "NO_COLOR", "FORCE_COLOR", "npm_*"];

/// Set by Next.js for the code that it runs, and filled in by Vite.
const JAVASCRIPT: &[&str] = &["NEXT_RUNTIME", "NEXT_PHASE", "VITEST*", "JEST_WORKER_ID"];
const IMPORT_META: &[&str] = &["MODE", "BASE_URL", "PROD", "DEV", "SSR"];

/// Set by every shell.
const SHELL: &[&str] = &[
    "PWD",
    "OLDPWD",
    "IFS",
    "USER",
    "LOGNAME",
    "SHELL",
    "HOSTNAME",
    "UID",
    "EUID",
    "PPID",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "OPTARG",
    "OPTIND",
    "REPLY",
    "BASH*",
    "FUNCNAME",
    "PIPESTATUS",
    "COLUMNS",
    "LINES",
    "XDG_*",
    "_",
];

/// `ARG`s that BuildKit knows without a declaration, and those of proxies.
const DOCKERFILE: &[&str] = &[
    "TARGET*",
    "BUILD*",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ftp_proxy",
    "SOURCE_DATE_EPOCH",
];
const COMPOSE: &[&str] = &["COMPOSE_*", "DOCKER_*", "PWD", "USER", "UID", "GID"];
/// `ROADBED_*` is what the workflows that `roadbed generate` writes are set up with.
const WORKFLOW: &[&str] = &["GITHUB_*", "RUNNER_*", "ACTIONS_*", "INPUT_*", "ROADBED_*"];

/// What cargo sets for the code that it compiles.
const RUST: &[&str] =
    &["CARGO*", "OUT_DIR", "TARGET", "HOST", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS", "RUST*", "DEP_*"];

/// Whether the tool that runs code of this language sets the name.
pub(crate) fn gives(name: &str, language: Language) -> bool {
    let own: &[&[&str]] = match language {
        Language::JavaScript => &[JAVASCRIPT],
        Language::ImportMeta => &[JAVASCRIPT, IMPORT_META],
        Language::Html => &[IMPORT_META],
        Language::Rust => &[RUST],
        Language::Shell => &[SHELL],
        Language::Dockerfile => &[DOCKERFILE, SHELL],
        Language::Compose => &[COMPOSE],
        Language::Workflow => &[WORKFLOW, SHELL],
    };
    let matches = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *pattern == name,
    };
    EVERYWHERE.iter().chain(own.iter().copied().flatten()).any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_gives_it_gives_in_its_own_files() {
        assert!(gives("npm_package_version", Language::JavaScript));
        assert!(gives("MODE", Language::ImportMeta) && !gives("MODE", Language::JavaScript));
        assert!(gives("GITHUB_TOKEN", Language::Workflow) && !gives("GITHUB_TOKEN", Language::JavaScript));
        assert!(gives("TARGETARCH", Language::Dockerfile) && !gives("TARGETARCH", Language::Compose));
        assert!(!gives("CIRCLE", Language::Shell));
    }
}
