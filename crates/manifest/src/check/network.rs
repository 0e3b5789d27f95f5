//! Words about the way to an environment that would not have the effect they seem to have.

use crate::findings::Findings;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, environment) in document.environments.iter() {
        let network = &environment.network;
        if network.proxy_protocol.value && network.proxies.is_empty() {
            findings
                .error(
                    network.proxy_protocol.span,
                    format!("nobody is in front of {} who could speak the PROXY protocol", name.value),
                )
                .hint("write beside it who is: proxies = [\"10.0.0.0/8\"]");
        }
        for network in network.proxies.iter().filter(|network| network.value.is_everybody()) {
            findings
                .error(network.span, "whoever comes would be believed to be whoever he says".to_owned())
                .hint("name the networks of the load balancer or the CDN");
        }
    }
}
