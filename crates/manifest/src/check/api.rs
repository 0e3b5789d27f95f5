//! Where environments are asked from elsewhere.

use crate::findings::Findings;
use crate::source::At;
use crate::tables::{Document, Per};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, table) in document.environments.in_order() {
        let Some(api) = &table.api else { continue };
        let (listen, name) = (&api.value.listen, name.value.as_str());
        let port = listen.value.0.port();
        for host in &api.value.hosts {
            if let Some(per) = Per::ALL
                .iter()
                .find(|per| host.value.has(**per) && table.per.as_ref().is_none_or(|of| of.value != **per))
            {
                let message = format!("\"{}\" has no meaning in {name}", per.placeholder());
                findings.error(host.span, message).hint(format!("it does not exist per {}", per.words()));
            }
        }
        if port == 0 {
            continue;
        }
        if table.per.is_some() {
            let message = format!("every instance of {name} would listen at port {port}");
            findings.error(listen.span, message).hint("write port 0: each picks a free one and remembers it");
        }
        let edge = table.ports.as_ref().map(|ports| [&ports.http, &ports.https]);
        if edge.into_iter().flatten().flatten().any(|edge: &At<_>| edge.0 == port) {
            let message = format!("the API and the edge of {name} both listen at port {port}");
            findings.error(listen.span, message).hint("give them ports of their own");
        }
    }
}
