//! `roadbed token`: who may ask an environment from elsewhere.

use std::time::Duration;

use manifest::PersonName;
use reconcile::Fault;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::token_args::{CreateToken, RevokeToken, Token};
use crate::control::api::ToCreate;
use crate::control::api::answers::{TokenAnswer, TokenStanding};
use crate::control::api::authorise::{NotARole, Role};
use crate::control::api::tokens::{NotAToken, TokenId};
use crate::control::client::ControlClient;
use crate::render::table::Table;

pub async fn run(session: &Session, verb: &Token) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    match verb {
        Token::Create(args) => create(session, &control, args).await,
        Token::List(_) => list(session, &control).await,
        Token::Revoke(args) => revoke(session, &control, args).await,
    }
}

async fn create(session: &Session, control: &ControlClient, args: &CreateToken) -> Result<Exit, Failure> {
    let wrong = |why: String| Failure::Usage(Fault::new("cannot make a token").cause(why));
    let role: Role = args.role.parse().map_err(|error: NotARole| wrong(error.to_string()))?;
    let lasts =
        lasts(&args.expires).ok_or_else(|| wrong(format!("{:?} is no time: write 15m, 12h or 30d", args.expires)))?;
    let person = args.person.as_deref().map(PersonName::new).transpose();
    let person = person.map_err(|error| wrong(format!("{:?} is nobody: {}", args.person, error.rule)))?;
    let ask = ToCreate { role, name: args.name.clone(), person, seconds: lasts.as_secs(), by: host::own::user_name() };
    let created = control.make_token(&ask).await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&created)?;
        return Ok(Exit::Done);
    }
    let TokenAnswer { id, role, environment, until, .. } = &created.about;
    output.note(format!("{id}: {role} of {environment} until {until}; it is shown this once"));
    output.line(&created.token)?;
    Ok(Exit::Done)
}

/// `30d`: a whole number and its unit.
pub(super) fn lasts(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

async fn list(session: &Session, control: &ControlClient) -> Result<Exit, Failure> {
    let shown = control.tokens().await?;
    if session.output.is_json() {
        session.output.json(&shown)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["TOKEN", "ROLE", "FOR", "PERSON", "STATE", "UNTIL", "LAST USED"]);
    for token in &shown.tokens {
        let state = match token.standing {
            TokenStanding::Holds => "holds",
            TokenStanding::Expired => "expired",
            TokenStanding::Revoked => "revoked",
        };
        table.row(vec![
            token.id.clone(),
            token.role.to_string(),
            token.name.clone(),
            token.person.clone().unwrap_or_default(),
            state.to_owned(),
            token.until.clone(),
            token.used_at.clone().unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    Ok(Exit::Done)
}

async fn revoke(session: &Session, control: &ControlClient, args: &RevokeToken) -> Result<Exit, Failure> {
    let id: TokenId = args.id.parse().map_err(|error: NotAToken| {
        Failure::Usage(
            Fault::new("cannot revoke a token").cause(error.to_string()).hint("`roadbed token list` shows them"),
        )
    })?;
    let token = control.revoke_token(id, &host::own::user_name()).await?;
    if session.output.is_json() {
        session.output.json(&token)?;
    } else {
        session.output.line(format!("{id}: revoked; whoever has it is refused from now on"))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_whole_number_and_a_unit() {
        assert_eq!(lasts("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(lasts("15m"), Some(Duration::from_secs(900)));
        for none in ["", "d", "0d", "-1d", "1.5h", "30", "30w", "99999999999999999999d", "30đ"] {
            assert_eq!(lasts(none), None, "{none:?}");
        }
    }
}
