//! Steps that several jobs have.

use std::collections::BTreeSet;

use manifest::{Program, Workflows};

use super::filled;

pub(super) const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
pub(super) const CACHE: &str = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3";
pub(super) const SETUP_NODE: &str = "actions/setup-node@49933ea5288caeca8642d1e84afbd3f7d6820020 # v4.4.0";
pub(super) const UPLOAD: &str = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2";
pub(super) const DOWNLOAD: &str = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0";

/// First lines of every file.
pub(super) const HEAD: &str = "# Made by `roadbed generate` from roadbed.toml: edit that, and run it again.\n";

/// A clone without history cannot tell what changed.
const WITH_HISTORY: &str = include_str!("templates/checkout-with-history.yml");

const WITHOUT_HISTORY: &str = include_str!("templates/checkout.yml");

const NODE: &str = include_str!("templates/node.yml");

const DOWNLOADED: &str = include_str!("templates/program-downloaded.yml");

const COMPILED: &str = include_str!("templates/program-compiled.yml");

const HANDED_ON: &str = include_str!("templates/program-handed-on.yml");

/// Which job of a run it is that wants the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Whose checkout it is built in, where it is.
    First,
    Later,
}

pub(super) fn checkout_with_history() -> String {
    pinned(WITH_HISTORY)
}

pub(super) fn checkout() -> String {
    pinned(WITHOUT_HISTORY)
}

pub(super) fn node(workflows: &Workflows) -> String {
    workflows.node.as_ref().map(|version| filled(&pinned(NODE), &[("node", version)])).unwrap_or_default()
}

/// How a job comes by the program; nothing where the runner has it.
pub(super) fn program(workflows: &Workflows, turn: Turn) -> String {
    match (&workflows.program, turn) {
        (Program::Runner, _) => String::new(),
        (Program::Download { url, sha256 }, _) => filled(DOWNLOADED, &[("url", url), ("sha256", sha256)]),
        (Program::Source, Turn::First) => pinned(COMPILED),
        (Program::Source, Turn::Later) => pinned(HANDED_ON),
    }
}

/// Secrets of the code host as variables of a step, which nothing else in the job sees. A fork's runs get none.
pub(super) fn secrets(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("          {name}: ${{{{ secrets.{name} }}}}\n")).collect()
}

/// What the build of a release is given.
pub(super) fn build_environment(workflows: &Workflows) -> String {
    match workflows.build_secrets.is_empty() {
        true => String::new(),
        false => format!("        env:\n{}", secrets(&workflows.build_secrets)),
    }
}

/// With the actions that it names.
pub(super) fn pinned(template: &str) -> String {
    let actions = [
        ("checkout", CHECKOUT),
        ("cache", CACHE),
        ("setup-node", SETUP_NODE),
        ("upload", UPLOAD),
        ("download", DOWNLOAD),
    ];
    filled(template, &actions)
}
