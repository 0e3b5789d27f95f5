//! By mail.

use std::time::Duration;

use host::files;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};
use secrets::Secret;

use super::message::Message;
use crate::settings::{Mail, MailSecurity};

/// For each command of the conversation: what RFC 5321 grants is minutes, and the next try is nearer than that.
const PATIENCE: Duration = Duration::from_secs(10);

/// An error is a sentence, and holds no password: the conversation's own words do not.
pub(super) async fn send(mail: &Mail, message: &Message, secret: Option<&Secret>) -> Result<(), String> {
    let letter = letter(mail, message)?;
    let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server)
        .port(mail.port)
        .timeout(Some(PATIENCE))
        .tls(tls(mail)?);
    let server = match (&mail.user, secret) {
        (Some(user), Some(secret)) => server.credentials(Credentials::new(user.clone(), secret.expose().to_owned())),
        (Some(_), None) => return Err("its password is not set".to_owned()),
        (None, _) => server,
    };
    server.build::<Tokio1Executor>().send(letter).await.map(drop).map_err(|error| chain(&error))
}

fn tls(mail: &Mail) -> Result<Tls, String> {
    if mail.security == MailSecurity::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(mail.server.clone());
    if let Some(file) = &mail.authorities {
        let pem = files::read(file).map_err(|fault| fault.to_string())?;
        let authority = Certificate::from_pem(&pem).map_err(|error| chain(&error))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    let parameters = parameters.build_rustls().map_err(|error| chain(&error))?;
    Ok(match mail.security {
        MailSecurity::Tls => Tls::Wrapper(parameters),
        MailSecurity::StartTls | MailSecurity::None => Tls::Required(parameters),
    })
}

fn letter(mail: &Mail, message: &Message) -> Result<Letter, String> {
    let mailbox =
        |address: &str| address.parse::<Mailbox>().map_err(|error| format!("{address:?} is no address: {error}"));
    let mut to: Vec<&str> = mail.to.iter().map(String::as_str).collect();
    if to.is_empty() {
        to = message.alerts.iter().map(|told| told.contact.as_str()).filter(|contact| contact.contains('@')).collect();
        to.sort_unstable();
        to.dedup();
    }
    if to.is_empty() {
        return Err("nobody who answers for it has an address".to_owned());
    }
    let delivery = message.alerts.first().map_or(0, |told| told.delivery);
    let domain = mail.from.rsplit('@').next().unwrap_or("localhost").trim_end_matches('>');
    // The same where it is sent again: whoever got it already shows it once.
    let id = format!("<roadbed-{}-{}-{delivery}@{domain}>", message.product, message.environment.replace('/', "-"));
    let mut letter = Letter::builder().from(mailbox(&mail.from)?).subject(message.subject()).message_id(Some(id));
    for address in to {
        letter = letter.to(mailbox(address)?);
    }
    letter.body(message.text()).map_err(|error| error.to_string())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
