//! Whether an authority would get through to the public hosts: names lead here, ports answer, and CAA records allow it.

mod caa;
mod names;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use acme::Trust;
use manifest::Environment;
use reconcile::Fault;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use names::Names;

/// A connection over the network comes about sooner, or is dropped by somebody on the way.
const CONNECT: Duration = Duration::from_secs(3);

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    PointsHere,
    PortsAnswer,
    CaaAllows,
}

/// One answer about one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub host: String,
    pub question: Question,
    pub holds: bool,
    pub said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn good(host: &str, question: Question, said: String) -> Self {
        Self { host: host.to_owned(), question, holds: true, said, hint: None }
    }

    fn bad(host: &str, question: Question, said: String, hint: String) -> Self {
        Self { host: host.to_owned(), question, holds: false, said, hint: Some(hint) }
    }
}

/// Looks at every public host. `project` is the folder of the manifest.
pub async fn check(environment: &Environment, project: &Path, names: &Names) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let ports = [environment.ports.http.unwrap_or(80), environment.ports.https.unwrap_or(443)];
    let mut allowed = Vec::new();
    for authority in &environment.tls.authorities {
        let trust = Trust::read(authority.ca.as_ref().map(|file| project.join(file)).as_deref())?;
        let identities = acme::directory::caa_identities(&authority.directory, &trust).await;
        allowed.push((authority.directory.clone(), identities.map_err(|failure| failure.to_string())));
    }
    let of_apps = environment.apps.iter().flat_map(|app| &app.hosts);
    let of_media = environment.media.iter().flat_map(manifest::Media::hosts);
    for host in of_apps.chain(environment.console.iter().map(|console| &console.host)).chain(of_media) {
        let addresses = match names.addresses(host).await {
            Ok(addresses) => addresses,
            Err(why) => {
                let hint = format!("make an A or AAAA record for {host} that leads to this machine");
                findings.push(Finding::bad(host, Question::PointsHere, why, hint));
                continue;
            }
        };
        findings.push(points_here(host, &addresses, &environment.network.addresses));
        findings.push(ports_answer(host, &addresses, ports).await);
        for (directory, identities) in &allowed {
            findings.push(caa::allows(host, directory, identities, names).await);
        }
    }
    Ok(findings)
}

fn points_here(host: &str, addresses: &[IpAddr], ours: &[IpAddr]) -> Finding {
    let told: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let elsewhere = addresses.iter().filter(|address| !ours.contains(address) && !is_of_this_machine(**address));
    match elsewhere.map(ToString::to_string).collect::<Vec<_>>() {
        elsewhere if elsewhere.is_empty() => {
            Finding::good(host, Question::PointsHere, format!("leads here: {}", told.join(", ")))
        }
        // One of two is as bad: the authority takes either.
        elsewhere => {
            let hint = "change the record, or name the address in `addresses` of [environments.NAME.network] if it leads here all the same";
            let said = format!("leads to {}, which is no address of this machine", elsewhere.join(", "));
            Finding::bad(host, Question::PointsHere, said, hint.to_owned())
        }
    }
}

/// The kernel lets only those be listened on.
fn is_of_this_machine(address: IpAddr) -> bool {
    std::net::UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

async fn ports_answer(host: &str, addresses: &[IpAddr], ports: [u16; 2]) -> Finding {
    let mut silent = Vec::new();
    for address in addresses {
        for port in ports {
            let socket = SocketAddr::new(*address, port);
            match timeout(CONNECT, TcpStream::connect(socket)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => silent.push(format!("{socket}: {error}")),
                Err(_) => silent.push(format!("{socket}: no answer within {} s", CONNECT.as_secs())),
            }
        }
    }
    if silent.is_empty() {
        let said = format!("ports {} and {} answer, as seen from here", ports[0], ports[1]);
        return Finding::good(host, Question::PortsAnswer, said);
    }
    let hint = "`roadbed up` opens them; if it is up, a firewall or a router in front of this machine does not";
    Finding::bad(host, Question::PortsAnswer, silent.join("; "), hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_here_only_if_all_of_its_addresses_do() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        // Kept for documentation: nobody's.
        let stranger: IpAddr = "203.0.113.9".parse().unwrap();
        assert!(points_here("shop.example", &[loopback], &[]).holds);
        let both = points_here("shop.example", &[loopback, stranger], &[]);
        assert!(!both.holds && both.said.contains("203.0.113.9") && both.hint.is_some(), "{both:?}");
        assert!(points_here("shop.example", &[loopback, stranger], &[stranger]).holds);
    }
}
