//! `roadbed edge block`, `allow`, `unblock`, `list`: networks that are kept out, and those that never are.

use edge::abuse::lists::Verdict;
use reconcile::Fault;

use crate::cli::edge_args::Networks;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::control::access::lists::{Shown, ToList};
use crate::control::client::ControlClient;
use crate::render::table::Table;

pub(super) async fn run(session: &Session, verb: &Networks) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    let ask = |network: &str, verdict, time: Option<&String>, reason: &str| {
        let seconds = time.map(|text| lasts(text).ok_or_else(|| no_time(text))).transpose()?;
        Ok::<_, Failure>(ToList {
            network: network.to_owned(),
            verdict,
            seconds: seconds.map(|time| time.as_secs()),
            reason: reason.to_owned(),
            by: host::own::user_name(),
        })
    };
    let (ask, said) = match verb {
        Networks::Block(args) => {
            let (verdict, said) = match args.shadow {
                true => (Verdict::ShadowBlock, "would be kept out; the access log says so"),
                false => (Verdict::Block, "kept out from now on"),
            };
            (ask(&args.network, Some(verdict), args.lasts.as_ref(), &args.reason)?, said)
        }
        Networks::Allow(args) => {
            let ask = ask(&args.network, Some(Verdict::Allow), args.lasts.as_ref(), &args.reason)?;
            (ask, "never kept out from now on")
        }
        Networks::Unblock(args) => (ask(&args.network, None, None, "")?, "nothing is said of it any more"),
        Networks::List(_) => {
            let shown = control.networks().await?;
            if session.output.is_json() {
                session.output.json(&shown)?;
            } else {
                table(&shown).lines().iter().try_for_each(|line| session.output.line(line))?;
            }
            return Ok(Exit::Done);
        }
    };
    let shown = control.list_network(&ask).await?;
    if session.output.is_json() {
        session.output.json(&shown)?;
    } else {
        session.output.line(format!("{}: {said}", ask.network))?;
    }
    Ok(Exit::Done)
}

fn no_time(text: &str) -> Failure {
    Failure::Usage(
        Fault::new("cannot change who is kept out").cause(format!("{text:?} is no time")).hint("write 30m, 2h or 7d"),
    )
}

fn table(shown: &[Shown]) -> Table {
    let mut table = Table::new(["NETWORK", "IS", "UNTIL", "BY", "WHY"]);
    for one in shown {
        let is = match one.listed.verdict {
            Verdict::Block => "kept out",
            Verdict::ShadowBlock => "looked at",
            Verdict::Allow => "let in",
        };
        table.row(vec![
            one.listed.network.clone(),
            is.to_owned(),
            one.until.clone().unwrap_or_default(),
            one.by.clone(),
            one.listed.reason.clone(),
        ]);
    }
    table
}
