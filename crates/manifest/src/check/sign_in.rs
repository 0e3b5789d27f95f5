//! A sign-in that lets nobody in, or into nothing.

use crate::environment::Access;
use crate::findings::Findings;
use crate::id::EnvName;
use crate::tables::{Document, Per};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.in_order() {
        let Some(sign_in) = &table.sign_in else { continue };
        let name = &name.value;
        if table.console.is_none() && !has_protected(document, name) {
            findings.error(sign_in.span, format!("nothing in {name} is protected, so nobody signs in")).hint(
                "write access = \"protected\" in an app or console = {} in the environment, or remove this table",
            );
        }
        let sign_in = &sign_in.value;
        if sign_in.emails.is_empty() && sign_in.domains.is_empty() && sign_in.groups.is_empty() {
            findings.error(sign_in.issuer.span, "it says nobody who is let in").hint("add emails, domains or groups");
        }
        if sign_in.algorithms.is_empty() {
            findings
                .error(sign_in.algorithms.span, "\"algorithms\" is empty: no token would be accepted")
                .hint("name one");
        }
        super::no_repetition(&sign_in.algorithms, findings);
        super::no_repetition(&sign_in.domains, findings);
        super::no_repetition(&sign_in.groups, findings);
        if table.per.as_ref().is_some_and(|per| per.value == Per::Branch || per.value == Per::PullRequest) {
            findings
                .warning(sign_in.issuer.span, format!("the provider must take back each host of each {name}"))
                .hint("most take no patterns: `roadbed access link` needs no provider");
        }
    }
}

fn has_protected(document: &Document, environment: &EnvName) -> bool {
    document.apps.iter().any(|(_, app)| {
        let own = app.r#in.get(environment).and_then(|own| own.access);
        own.unwrap_or(app.access) == Access::Protected
    })
}
