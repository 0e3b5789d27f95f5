//! A console with the host of an app, or with operators who cannot sign in.

use crate::findings::Findings;
use crate::tables::Document;

/// What the console is called beside the apps: in links, in the access log, in the route table.
const NAME: &str = "console";

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let environments = document.environments.in_order();
    for (name, table) in &environments {
        let Some(console) = &table.console else { continue };
        let host = &console.value.host;
        let ours = host.on(&table.domain.of(None));
        for (other, others) in &environments {
            let domain = others.domain.of(None);
            for (app, of_app) in document.apps.in_order() {
                if of_app.hosts.iter().any(|claimed| claimed.on(&domain) == ours) {
                    findings
                        .error(
                            host.span,
                            format!(
                                "{ours} would be the console of {} and \"{}\" in {}",
                                name.value, app.value, other.value
                            ),
                        )
                        .hint("give the console another label: host = \"ops\"");
                }
            }
        }
        if let Some((app, _)) = document.apps.in_order().into_iter().find(|(app, _)| app.as_str() == NAME) {
            findings
                .error(app.span, format!("\"{NAME}\" is what the console of {} is called", name.value))
                .hint("give the app another name");
        }
        let operators = &console.value.operators;
        if !operators.is_empty() && table.sign_in.is_none() {
            findings
                .error(
                    operators.span,
                    format!("nobody signs in at a provider in {}, so nobody is one of these", name.value),
                )
                .hint("say where in `sign_in`; links of `roadbed console` need no operators");
        }
    }
}
