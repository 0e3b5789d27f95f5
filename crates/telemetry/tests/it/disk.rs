//! A disk that is full to the last byte: what was answered with 200 is there, the rest was refused and counted, and with room again
//! everything goes on.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reconcile::Root;
use serde_json::json;
use telemetry::logs::{Filter, Keeping, Question};
use telemetry::{ErrorLimits, TelemetryClient};
use tempfile::TempDir;

use crate::role;
use crate::sender::{Answer, envelope, path_of_web, send, thrown};

const PATIENCE: Duration = Duration::from_secs(30);

/// A root on a file system that only the role sees, and whoever looks through the process that holds it.
struct SmallDisk {
    holder: Child,
    role: Option<Child>,
    /// As the role names it.
    place: PathBuf,
    /// As it is seen from outside.
    seen: PathBuf,
    port: u16,
    client: TelemetryClient,
    _folder: TempDir,
}

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap().join("disk");
        std::fs::create_dir(&place).unwrap();
        let script = format!("mount -t tmpfs -o size=16m tmpfs {} && echo mounted && exec sleep 600", place.display());
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "mounted", "allow unprivileged user namespaces, or run the tests as root");
        let seen = PathBuf::from(format!("/proc/{}/root{}", holder.id(), place.display()));
        let root = Root::new(seen.join("root"));
        host::files::create_dir(&root.conf(), host::files::Access::Owner).unwrap();
        let port = crate::receiver::free_port();
        // The disk itself is to say no.
        let mut settings = role::settings(port, ErrorLimits { free_bytes: 0, ..ErrorLimits::default() });
        settings.logs = Keeping { least_free_bytes: 0, ..Keeping::default() };
        settings.write(&root).unwrap();
        let client = TelemetryClient::new(root);
        Self { holder, role: None, place, seen, port, client, _folder: folder }
    }

    async fn start(&mut self) {
        let target = self.holder.id().to_string();
        let role = Command::new("nsenter")
            .args(["--user", "--mount", "--preserve-credentials", "--target", &target, "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "durability::as_a_process_of_its_own"])
            .env(crate::durability::ROOT, self.place.join("root"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.role = Some(role);
        let deadline = Instant::now() + PATIENCE;
        while self.client.health().await.is_err() {
            assert!(self.role.as_mut().unwrap().try_wait().unwrap().is_none(), "the role ended before it answered");
            assert!(Instant::now() < deadline, "the role does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.client.look_for(&[]).await.unwrap();
    }

    fn kill(&mut self) {
        let mut role = self.role.take().unwrap();
        role.kill().unwrap();
        role.wait().unwrap();
    }

    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.seen.join("ballast")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let bytes = vec![0; size];
            while ballast.write_all(&bytes).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.seen.join("ballast")).unwrap();
    }

    async fn report(&self, seen: &mut Seen) -> Answer {
        // Each is more than a page of the file system.
        let event = thrown("Error", &format!("no stock: {}", "x ".repeat(3_000)), "reserve");
        let answer = send(self.port, "POST", &path_of_web(), &[], &envelope(&event)).await;
        if answer.status == 200 {
            seen.events.push(event["event_id"].as_str().unwrap().to_owned());
        } else {
            assert!(matches!(answer.status, 429 | 503), "{answer:?}");
            seen.refused_events += 1;
        }
        answer
    }

    async fn tell(&self, seen: &mut Seen) -> Answer {
        let request = format!("req-{:08}", seen.lines.len() + seen.refused_lines);
        let attributes = json!([{ "key": "request_id", "value": { "stringValue": request } }]);
        let record = json!({ "timeUnixNano": nanoseconds(), "body": { "stringValue": "y ".repeat(3_000) }, "attributes": attributes });
        let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "web" } }] });
        let body = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [record] }] }] });
        let headers = [("content-type", "application/json")];
        let answer = send(self.port, "POST", "/v1/logs", &headers, body.to_string().as_bytes()).await;
        if answer.status == 200 {
            seen.lines.push(request);
        } else {
            assert!(matches!(answer.status, 429 | 503) && answer.headers.contains_key("retry-after"), "{answer:?}");
            seen.refused_lines += 1;
        }
        answer
    }

    /// All that was answered with 200 is found, once.
    async fn has_all(&self, seen: &Seen) {
        let deadline = Instant::now() + PATIENCE;
        let wanted = i64::try_from(seen.events.len()).unwrap();
        loop {
            let health = self.client.errors_health().await;
            if health.as_ref().is_ok_and(|health| health.events == wanted && health.waiting == 0) {
                break;
            }
            assert!(Instant::now() < deadline, "{wanted} are not all there: {health:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for id in &seen.events {
            assert_eq!(self.client.error_events(&format!("event:{id}")).await.unwrap().len(), 1, "{id} is lost");
        }
        for request in &seen.lines {
            let filter = Filter { request: Some(request.clone()), ..Filter::default() };
            let question = Question { filter, limit: 10, after: None };
            assert_eq!(self.client.logs(&question).await.unwrap().lines.len(), 1, "{request} is lost");
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        for child in self.role.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn nanoseconds() -> String {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string()
}

/// What was acknowledged, and how much was not.
#[derive(Default)]
struct Seen {
    events: Vec<String>,
    refused_events: usize,
    lines: Vec<String>,
    refused_lines: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_that_was_acknowledged_is_lost_and_the_rest_is_refused_and_counted() {
    let mut disk = SmallDisk::new();
    disk.start().await;
    let mut seen = Seen::default();
    for _ in 0..20 {
        assert_eq!(disk.report(&mut seen).await.status, 200);
        assert_eq!(disk.tell(&mut seen).await.status, 200);
    }
    disk.has_all(&seen).await;

    disk.fill();
    let mut why = None;
    for _ in 0..20 {
        let answer = disk.report(&mut seen).await;
        why = why.or((answer.status != 200).then_some(answer.body));
        disk.tell(&mut seen).await;
    }
    assert!(why.as_ref().is_some_and(|why| why.contains("No space left on device")), "{why:?}");
    assert!(seen.refused_events > 0 && seen.refused_lines > 0);
    // Whoever asks is answered, though nothing can be written.
    let filter = Filter { request: Some(seen.lines[0].clone()), ..Filter::default() };
    let question = Question { filter, limit: 10, after: None };
    assert_eq!(disk.client.logs(&question).await.unwrap().lines.len(), 1);
    assert!(disk.client.errors_health().await.is_ok());

    disk.make_room();
    let taken = Instant::now() + PATIENCE;
    while disk.report(&mut seen).await.status != 200 {
        assert!(Instant::now() < taken, "nothing is taken again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while disk.tell(&mut seen).await.status != 200 {
        assert!(Instant::now() < taken, "nothing is taken again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    disk.has_all(&seen).await;
    let health = disk.client.errors_health().await.unwrap();
    let refused = health.not_kept.iter().find(|one| one.what == "no-room").map(|one| one.count);
    assert_eq!(refused, i64::try_from(seen.refused_events).ok(), "{health:?}");

    // And where it is killed on the full disk, and begins on it.
    disk.fill();
    for _ in 0..5 {
        disk.report(&mut seen).await;
        disk.tell(&mut seen).await;
    }
    disk.kill();
    disk.start().await;
    disk.report(&mut seen).await;
    disk.kill();
    disk.make_room();
    disk.start().await;
    assert_eq!(disk.report(&mut seen).await.status, 200);
    disk.has_all(&seen).await;
}
