//! Mail, to a real server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use monitors::{ChannelKind, DeliveryState, Mail, MailSecurity, Shown};

use crate::scene::{Running, SECRET, Watched, channel, monitor, settings};

const SERVER: &str = "aiosmtpd==1.4.6";

struct Server {
    child: Child,
    port: u16,
    lines: mpsc::Receiver<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes mail from who logs in, over TLS alone, and prints it as JSON.
fn server(folder: &std::path::Path) -> Server {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("mail.pem"), folder.join("mail.key"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mail_server.py")).arg(port.to_string());
    command.arg(&certificate).arg(&key).arg(SECRET).env("PYTHONPATH", testkit::tools::of_python(SERVER));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let server = Server { child, port, lines };
    assert_eq!(server.lines.recv_timeout(Duration::from_secs(30)).unwrap(), "ready");
    server
}

fn mail(folder: &std::path::Path, port: u16) -> Mail {
    Mail {
        server: "localhost".into(),
        port,
        security: MailSecurity::StartTls,
        user: Some("roadbed".into()),
        from: "Roadbed <alerts@urbancart.example>".into(),
        to: Vec::new(),
        authorities: Some(folder.join("mail.pem")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_for_it_gets_mail() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let watched = Watched::start().await;
    let declared = settings(
        vec![monitor("app/api", watched.address)],
        vec![channel("mail", ChannelKind::Mail(mail(folder.path(), server.port)))],
    );
    let running = Running::start(folder.path(), declared).await;
    running.until_shown("app/api", Shown::Up).await;
    watched.answers(503);
    let line = server.lines.recv_timeout(Duration::from_secs(30)).unwrap();
    let letter: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(letter["to"][0], "backend@urbancart.example");
    assert_eq!(letter["from"], "alerts@urbancart.example");
    assert_eq!(letter["subject"], "[urbancart test] app/api is down");
    let text = letter["text"].as_str().unwrap();
    for part in
        ["because  it answers 503", "release  r7-abc", "owner    backend", "docs/runbook.md#api", "roadbed alerts ack"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!line.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_not_to_be_believed_gets_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let strange = Mail { authorities: None, ..mail(folder.path(), server.port) };
    let strange = Mail { to: vec!["anna@urbancart.example".into()], ..strange };
    let running =
        Running::start(folder.path(), settings(Vec::new(), vec![channel("mail", ChannelKind::Mail(strange))])).await;
    let id: i64 = running.ask("POST", "/alerts/test", Some("mail".into())).await;
    let delivery = loop {
        let delivery: monitors::Delivery = running.ask("GET", &format!("/alerts/deliveries/{id}"), None).await;
        if delivery.state != DeliveryState::Waiting {
            break delivery;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(delivery.state, DeliveryState::Failed);
    let why = delivery.error.unwrap();
    assert!(why.contains("certificate") && !why.contains(SECRET), "{why}");
    assert!(server.lines.try_recv().is_err());
}
