//! How a channel is told: over HTTP, by mail, by a program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use host::files::{self, Access};
use host::process::{Run, run};
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrets::Secret;
use tokio::time::timeout;

use super::mail;
use super::message::Message;
use crate::probe::Miss;
use crate::probe::http::{self, Asked};
use crate::settings::{Channel, ChannelKind, Trusted};

/// Header of the signature: `t=SECONDS,v1=HEX`.
pub const SIGNATURE: &str = "x-roadbed-signature";

/// Header by which a receiver knows a word that comes twice.
const DELIVERY: &str = "x-roadbed-delivery";

/// A receiver that takes longer is told again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program may ask somebody else.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(30);

/// What a sender is, apart from the channel.
pub(crate) struct Sender<'a> {
    pub(crate) trusted: &'a Trusted,
    pub(crate) secret: Option<&'a Secret>,
    /// Where a program finds what it is told.
    pub(crate) folder: &'a Path,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// The signature of a body: HMAC-SHA-256, by the channel's secret, of `SECONDS.BODY`. A receiver refuses what is older than some minutes.
pub fn signature(secret: &Secret, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// Tells it. An error is a sentence, and holds no secret.
pub(crate) async fn tell(channel: &Channel, message: &Message, sender: &Sender<'_>) -> Result<(), String> {
    let missing = || format!("the secret alerts/{} is not set", channel.name);
    match &channel.kind {
        ChannelKind::Webhook { url } => {
            let secret = sender.secret.ok_or_else(missing)?;
            let body = message.json();
            let signed = signature(secret, sender.now, &body);
            let delivery = message.alerts.first().map_or(0, |told| told.delivery).to_string();
            let header = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
            let headers = vec![
                (HeaderName::from_static(SIGNATURE), header(&signed)?),
                (HeaderName::from_static(DELIVERY), header(&delivery)?),
            ];
            post(url, headers, body.into(), sender.trusted).await
        }
        ChannelKind::Slack => {
            let url = sender.secret.ok_or_else(missing)?;
            let body = serde_json::json!({ "text": escaped(&message.text()) }).to_string();
            // The address is the secret, and errors of connections have it in them.
            let told = post(url.expose(), Vec::new(), body.into(), sender.trusted).await;
            told.map_err(|why| why.replace(url.expose(), "its address"))
        }
        ChannelKind::Mail(mail) => mail::send(mail, message, sender.secret).await,
        ChannelKind::Exec { command, folder } => exec(command, folder, message, sender.folder).await,
    }
}

/// As Slack wants three characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn post(
    url: &str,
    mut headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    trusted: &Trusted,
) -> Result<(), String> {
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    let asked = Asked { method: Method::POST, url, headers, body };
    match timeout(PATIENCE, http::ask(&asked, None, trusted)).await {
        Ok(Ok(answer)) if (200..300).contains(&answer.status) => Ok(()),
        Ok(Ok(answer)) => Err(format!("it answers {}", answer.status)),
        Ok(Err(Miss::Bad(why) | Miss::Unknown(why))) => Err(why),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// A program gets the file with the JSON as its last argument, and nothing else of ours.
async fn exec(command: &[String], cwd: &Path, message: &Message, folder: &Path) -> Result<(), String> {
    let (program, args) = command.split_first().ok_or("there is no program")?;
    let path = folder.join(format!("told-{}.json", message.channel));
    files::write(&path, &message.json(), Access::Owner).map_err(|fault| fault.to_string())?;
    let search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let found =
        if program.contains('/') { Some(cwd.join(program)) } else { host::process::find_in_path(program, search) };
    let program: PathBuf = found.ok_or_else(|| format!("there is no program {program}"))?;
    let mut args = args.to_vec();
    args.push(path.to_string_lossy().into_owned());
    let env = BTreeMap::from([("PATH".to_owned(), search.to_owned())]);
    let work = Run { program, args, cwd: cwd.to_owned(), env, deadline: PROGRAM_PATIENCE };
    let finished = run(&work, &mut |_, _| {}).await.map_err(|fault| fault.to_string());
    let _ = files::remove(&path);
    let finished = finished?;
    if finished.success() { Ok(()) } else { Err(format!("the program ended with {}", finished.describe())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_anybody_else_works_out() {
        // echo -n '1.{}' | openssl dgst -sha256 -hmac key
        let signed = signature(&Secret::new("key".into()), 1, b"{}");
        assert_eq!(signed, "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224");
    }
}
