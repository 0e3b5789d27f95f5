//! `roadbed domains`: whether an authority would get through to the public hosts.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::domains::{self, Finding, Names};
use crate::render;
use crate::world;

/// Look at the public hosts as an authority does
#[derive(Debug, Subcommand)]
pub enum Domains {
    Check(CheckDomains),
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
