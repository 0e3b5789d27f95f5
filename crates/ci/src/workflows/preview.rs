//! `preview.yml`: the environment of a pull request, on the machine of the previews.

use manifest::Workflows;

use super::{filled, steps};

const TEXT: &str = include_str!("templates/preview.yml");

pub(super) fn text(workflows: &Workflows) -> String {
    filled(
        &format!("{}{TEXT}", steps::HEAD),
        &[("previews", &workflows.previews.join(", ")), ("runner", &workflows.runner)],
    )
}
