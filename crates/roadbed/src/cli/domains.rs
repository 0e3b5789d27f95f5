//! `roadbed domains`: whether an authority would get through to the public hosts, and how things stand with those of others.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::control::renewing::{self, CertificateStatus, HostStatus};
use crate::domains::{self, Finding, Names};
use crate::render;
use crate::wanted;
use crate::world;

/// Look at the public hosts as an authority does
#[derive(Debug, Subcommand)]
pub enum Domains {
    Check(CheckDomains),
    List(ListDomains),
}

/// Check that names lead here, ports answer, and the authority is allowed
///
/// Asks the name service for every public host: all of its addresses must be of this machine, or named in the manifest; the ports for
/// HTTP and HTTPS must answer there, as far as that can be seen from here; and where CAA records say who may issue, the authorities of
/// the manifest must be among them. Nothing has to run, and nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed domains check --env production
  roadbed domains check --env production --server 9.9.9.9:53    ask another name server
  roadbed domains check --env production --json | jq '.findings[] | select(.holds | not)'

Exit codes:
  0  an authority would get through
  1  something is in the way
  2  the manifest or the command line is wrong")]
pub struct CheckDomains {
    /// Name server to ask instead of this machine's
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub server: Option<SocketAddr>,
}

/// List public hosts with their certificates, and the hosts of others that an app permits
///
/// Reads what the environment keeps on disk; it need not run. Hosts of others are those that `on_demand` let in: `served`, `waiting` for
/// a certificate, or `ending` where permission ended and the certificate is not renewed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed domains list --env production
  roadbed domains list --env production --json | jq '.others[] | select(.trouble)'

Exit codes:
  0  listed
  1  what is kept could not be read
  2  the manifest or the command line is wrong")]
pub struct ListDomains {}

#[derive(Serialize)]
struct Listed {
    environment: String,
    hosts: Vec<String>,
    /// Absent where certificates are the environment's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateStatus>,
    others: Vec<HostStatus>,
}

pub fn list(session: &Session) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let (reference, environment) = project.environment(&session.environment()?)?;
    let now = session.clock.now();
    let want = wanted::read(&session.root)?;
    let certificate = want.as_ref().map(|want| renewing::status(&session.root, &environment, want, now)).transpose()?;
    let listed = Listed {
        environment: reference.to_string(),
        hosts: environment.apps.iter().flat_map(|app| app.hosts.clone()).collect(),
        certificate: certificate.flatten(),
        others: renewing::of_others(&session.root, &environment, now)?,
    };
    let output = &session.output;
    if output.is_json() {
        output.json(&listed)?;
        return Ok(Exit::Done);
    }
    for host in &listed.hosts {
        output.line(host)?;
    }
    match listed.certificate.as_ref().and_then(render::environment::certificate) {
        Some(line) => output.line(format!("  {line}"))?,
        None => output.line("  their certificate is of the environment's own authority")?,
    }
    for other in &listed.others {
        output.line(render::environment::host_of_others(other, output.data).join("\n"))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Report<'a> {
    environment: String,
    holds: bool,
    findings: &'a [Finding],
}

pub async fn check(session: &Session, args: &CheckDomains) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let (reference, environment) = project.environment(&session.environment()?)?;
    let names = Names::of(args.server)?;
    let findings = domains::check(&environment, world::project(&project.path), &names).await?;
    let holds = findings.iter().all(|finding| finding.holds);
    let output = &session.output;
    if output.is_json() {
        output.json(&Report { environment: reference.to_string(), holds, findings: &findings })?;
    } else {
        for finding in &findings {
            let mark = if finding.holds { output.data.good("✓") } else { output.data.bad("✗") };
            output.line(format!("{mark} {}: {}", finding.host, finding.said))?;
            if let Some(hint) = &finding.hint {
                output.line(format!("  {}", render::fault::hint(hint, output.data)))?;
            }
        }
    }
    Ok(if holds { Exit::Done } else { Exit::Failed })
}
