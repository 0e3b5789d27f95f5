//! What pages are made of in tests: an ordinary day, and one on which every text is meant to break out.

use std::time::Duration;

use delivery::deployment::Happened;
use delivery::policy::Approval;
use delivery::release::{Contents, Origin};
use delivery::{Artifact, Deployment, DeploymentId, Kind, Policy, Release, ReleaseId, Role as SlotRole, State};
use gate::{Evidence, Verdict};
use host::clock::Timestamp;
use serde_json::{Map, json};
use telemetry::logs::{Level, Record, Source};
use telemetry::metrics::Minute;
use telemetry::traces::Span;
use telemetry::{Behind, ErrorEvent, Issue, IssueDetails, IssueRelease, IssueStatus, NotKept};
use web_console::*;

/// Noon of some day.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_millis(1_795_780_800_000);

pub(crate) fn before(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(NOW.unix_millis() - seconds * 1000)
}

/// Says every text: as it is, or as somebody writes it who means harm. What apps and strangers say by the first, names that are our
/// own by the second.
#[derive(Clone, Copy)]
pub(crate) struct World(pub(crate) fn(&str) -> String, pub(crate) fn(&str) -> String);

pub(crate) const USUAL: World = World(str::to_owned, str::to_owned);

impl World {
    fn say(self, text: &str) -> String {
        (self.0)(text)
    }

    fn ours(self, text: &str) -> String {
        (self.1)(text)
    }

    fn maybe(self, text: &str) -> Option<String> {
        Some(self.say(text))
    }

    pub(crate) fn context(self) -> Context {
        Context {
            product: self.ours("urbancart"),
            environment: self.ours("staging"),
            user: self.ours("anna@urbancart.example"),
            role: Role::Operator,
            token: self.ours("token"),
            now: NOW,
            notice: None,
        }
    }

    pub(crate) fn issue(self, id: i64) -> Issue {
        let titles = [
            ("PaymentDeclined: card 4 of the basket was declined by the provider", "api/src/payments.ts in charge"),
            (
                "TypeError: Cannot read properties of undefined (reading 'price_cents')",
                "assets/index-4f2a.js in lineTotal",
            ),
            ("MongoServerSelectionError: no primary within 5000 ms", "api/src/products.ts in findProduct"),
            ("The session is older than its key", "api/src/sessions.ts in verify"),
            ("ChunkLoadError: Loading chunk 41 failed", "app/products/[slug]/page.tsx in load"),
        ];
        let (title, culprit) = titles[usize::try_from(id).unwrap() % titles.len()];
        Issue {
            id,
            app: self.say(["api", "storefront", "admin"][usize::try_from(id).unwrap() % 3]),
            title: self.say(title),
            culprit: self.say(culprit),
            level: self.say(if id % 4 == 3 { "warning" } else { "error" }),
            platform: self.say("node"),
            unhandled: id % 3 == 0,
            status: IssueStatus::Open,
            first_seen: before(90_000 + id * 7_000).unix_millis(),
            last_seen: before(id * id * 40 + 3).unix_millis(),
            events: 1 + (id * 7919) % 12_000,
            kept: 20,
            first_release: self.maybe("r11-0c9d2e771a40"),
            last_release: self.maybe("r12-1a2b3c4d5e6f"),
            regressed_at: (id % 5 == 1).then(|| before(500).unix_millis()),
            until: None,
            until_events: None,
        }
    }

    pub(crate) fn errors(self, many: i64) -> Errors {
        Errors {
            asked: AskedErrors {
                app: Some(self.ours("api")),
                status: Some(IssueStatus::Open),
                search: self.ours("declined"),
                behind: (many > 100).then_some(Behind { last_seen: 1_700_000_000_000, id: 7 }),
            },
            issues: (0..many).map(|id| self.issue(id)).collect(),
            has_more: many >= 100,
            apps: ["api", "storefront", "admin"].map(|app| self.ours(app)).to_vec(),
            events: 184_201,
            all: 312,
            lost: vec![NotKept { app: self.say("api"), what: self.say("flood"), count: 1200 }],
        }
    }

    pub(crate) fn event(self, at: i64, has_body: bool) -> ErrorEvent {
        let frame = |function: &str, file: &str, line: u32, is_own: bool| {
            json!({
                "function": self.say(function), "filename": self.say(file), "lineno": line, "colno": 17, "in_app": is_own,
                "pre_context": [self.say("async function charge(basket: Basket) {"), self.say("  const key = idempotencyKey(basket);")],
                "context_line": self.say("  const answer = await provider.charge(basket.total, key);"),
                "post_context": [self.say("  if (!answer.ok) throw new PaymentDeclined(answer);"), self.say("}")],
            })
        };
        let body = json!({
            "exception": { "values": [
                { "type": self.say("FetchError"), "value": self.say("socket hang up"), "stacktrace": { "frames": [
                    frame("fetch", "node:internal/deps/undici", 1300, false) ] } },
                { "type": self.say("PaymentDeclined"), "value": self.say("card 4 of the basket was declined by the provider"),
                  "mechanism": { "handled": false },
                  "stacktrace": { "frames": [
                    frame("processTicksAndRejections", "node:internal/process/task_queues", 95, false),
                    frame("handle", "node_modules/fastify/lib/handleRequest.js", 133, false),
                    frame("checkout", "apps/api/src/checkout.ts", 88, true),
                    frame("charge", "apps/api/src/payments.ts", 41, true) ] } } ] },
            "request": { "method": self.say("POST"), "url": self.say("https://api.staging.urbancart.example/payments/charge") },
            "contexts": { "runtime": { "name": self.say("node"), "version": self.say("22.11.0") }, "os": { "name": self.say("Linux") },
                          "browser": { "name": self.say("Firefox"), "version": self.say("145") } },
            "server_name": self.say("host-1"), "sdk": { "name": self.say("sentry.javascript.node"), "version": self.say("11.12.0") },
            "tags": { "request_id": self.say("01JD3X"), self.say("tier"): self.say("gold"), "route": self.say("/payments/charge") },
            "breadcrumbs": [
                { "timestamp": 1_795_780_798.2, "category": self.say("http"), "message": self.say("GET /products/bicycle-bell"), "data": { self.say("status"): 200 } },
                { "timestamp": self.say("2026-11-27T11:59:59Z"), "category": self.say("console"), "message": self.say("charging basket 771"), "data": { "ms": self.say("12") } } ],
        });
        ErrorEvent {
            event_id: self.say("9ec79c33ec9942ab8353589fcb2e04dc"),
            issue: 5,
            app: self.say("api"),
            title: self.say("PaymentDeclined: card declined"),
            at: before(at).unix_millis(),
            received: before(at).unix_millis(),
            environment: self.ours("staging"),
            release: self.maybe("r12-1a2b3c4d5e6f"),
            request_id: self.maybe("01JD3XQ8T5W2R9"),
            trace_id: self.maybe("0af7651916cd43dd8448eb211c80319c"),
            sources: None,
            body: has_body.then_some(body),
        }
    }

    pub(crate) fn details(self) -> IssueDetails {
        let release = |name: &str, events: i64| IssueRelease {
            release: self.say(name),
            first_seen: before(90_000).unix_millis(),
            last_seen: before(40).unix_millis(),
            events,
        };
        IssueDetails {
            issue: self.issue(5),
            releases: vec![release("r12-1a2b3c4d5e6f", 3), release("r11-0c9d2e771a40", 41)],
            events: (0..12).map(|at| self.event(at * at * 60 + 4, at == 0)).collect(),
        }
    }

    pub(crate) fn record(self, at: i64, unit: &str, level: Option<Level>, line: &str) -> Record {
        Record {
            time: Timestamp::from_unix_millis(NOW.unix_millis() - at),
            source: Source {
                unit: self.say(unit),
                app: self.maybe("api"),
                release: self.maybe("r12"),
                stream: "out".into(),
            },
            level,
            request_id: self.maybe("01JD3XQ8T5W2R9"),
            trace_id: self.maybe("0af7651916cd43dd8448eb211c80319c"),
            span_id: None,
            line: line.to_owned(),
        }
    }

    pub(crate) fn lines(self) -> Vec<Record> {
        let json = |value: serde_json::Value| value.to_string();
        vec![
            self.record(240, "api-blue-1", Some(Level::Debug), &json(json!({"level": "debug", "msg": self.say("charging"), "basket": 771, self.say("currency"): self.say("EUR")}))),
            self.record(200, "mongodb", Some(Level::Info), &json(json!({"s": "I", "c": "COMMAND", "msg": self.say("Slow query"), "attr": {"ms": 120, "ns": self.say("shop.orders")}}))),
            self.record(140, "api-blue-1", Some(Level::Warn), &json(json!({"level": "warn", "msg": self.say("the provider did not answer, once more"), "attempt": 2}))),
            self.record(90, "api-blue-1", Some(Level::Error), &json(json!({"level": "error", "msg": self.say("payment declined"), "code": self.say("card_declined"), "ms": 150}))),
            self.record(80, "storefront-blue-1", None, &self.say("a line that is no JSON at all")),
        ]
    }

    pub(crate) fn logs(self, many: usize) -> Logs {
        Logs {
            asked: AskedLogs {
                text: self.ours("payment"),
                of: self.ours("api"),
                level: Some(Level::Debug),
                request: String::new(),
                since: "1h".into(),
                until: (many > 100).then_some(1_700_000_000_000),
            },
            lines: self.lines().into_iter().cycle().take(many).collect(),
            names: ["api", "storefront", "mongodb", "redis", "edge", "access"].map(|name| self.ours(name)).to_vec(),
            is_partial: false,
            damaged: vec![],
            limit: 120,
        }
    }

    pub(crate) fn request(self) -> Request {
        let span =
            |id: &str, parent: Option<&str>, app: &str, name: &str, start: i64, micros: u64, has_failed: bool| Span {
                trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
                span_id: id.into(),
                parent_id: parent.map(str::to_owned),
                app: self.say(app),
                name: self.say(name),
                start: Timestamp::from_unix_millis(NOW.unix_millis() - 250 + start),
                micros,
                has_failed,
                attributes: Map::new(),
            };
        let access = json!({"time": NOW.to_string(), "method": self.say("POST"), "host": self.say("api.staging.urbancart.example"),
            "path": self.say("/payments/charge"), "status": 500, "ms": 182.4, "app": self.say("api"), "release": self.say("r12"), "upstream": self.say("api-blue-1")});
        Request {
            id: self.say("01JD3XQ8T5W2R9"),
            access: vec![self.record(250, "access", Some(Level::Error), &access.to_string())]
                .into_iter()
                .map(|record| Record { source: Source { unit: "access".into(), ..record.source }, ..record })
                .collect(),
            lines: self.lines(),
            spans: vec![
                span("a", None, "edge", "POST api/payments/charge 500", 0, 182_400, true),
                span("b", Some("a"), "api", "POST /payments/charge", 3, 178_000, true),
                span("c", Some("b"), "api", "mongodb orders.findOne", 8, 12_300, false),
                span("d", Some("b"), "api", "redis GET basket", 22, 900, false),
                span("e", Some("b"), "api", "POST provider/charges", 30, 142_000, true),
            ],
            events: vec![self.event(4, false)],
            troubles: vec![],
        }
    }

    pub(crate) fn gate(self) -> Gate {
        let look = |task: &str, id: &str, claim: &str, verdict: Verdict, observed: &[&str]| Evidence {
            task: task.into(),
            id: self.say(id),
            claim: self.say(claim),
            verdict,
            observed: observed.iter().map(|seen| self.say(seen)).collect(),
            at: before(900),
            took_ms: 1284,
            hint: (verdict != Verdict::Holds).then(|| self.say("`roadbed logs telemetry` shows what arrives")),
        };
        let newest = vec![
            look(
                "T1",
                "variables-are-owned",
                "Every required variable has a source, an owner and a value",
                Verdict::Holds,
                &["28 variables of 3 apps"],
            ),
            look(
                "T3",
                "mongodb-guards-its-door",
                "Strangers are refused, the app gets its own database and nothing else",
                Verdict::Holds,
                &["a stranger: refused", "the app reads its own"],
            ),
            look(
                "T5",
                "apps-are-reachable",
                "Every app answers over HTTPS, with a certificate that verifies",
                Verdict::Holds,
                &["www answers 200", "api answers 200"],
            ),
            look(
                "T11",
                "forced-errors-arrive",
                "A forced error is found within 5 s, with its environment, release and request",
                Verdict::Fails,
                &[
                    "api failed on demand: issue 5 after 312 ms, of staging",
                    "BROKEN: admin: not found within 5 s: telemetry does not answer",
                ],
            ),
            look(
                "T12",
                "bursts-are-throttled",
                "Bursts over a limit are answered with 429",
                Verdict::Inconclusive,
                &["Redis was away"],
            ),
        ];
        Gate { newest, is_running: false, trouble: None }
    }

    pub(crate) fn deployment(self, id: i64, state: State) -> Deployment {
        Deployment {
            id: DeploymentId(id),
            kind: if id % 4 == 1 { Kind::Rollback } else { Kind::Deploy },
            release: ReleaseId(id + 7),
            previous: Some(ReleaseId(id + 6)),
            place: None,
            state,
            since: before(60),
            deadline: None,
            entered: None,
            asked_at: before(id * 4000),
            asked_by: self.say("ci: run 4411"),
            cancelled_by: None,
            fault: (state == State::Aborted).then(|| {
                reconcile::Fault::new(self.say("api-green-1 is not ready"))
                    .cause(self.say("it answered 503"))
                    .hint(self.say("`roadbed logs api` says why"))
            }),
            policy: Policy { approvals: 1, verify: Duration::from_secs(5), ..Policy::default() },
            approvals: vec![Approval { by: self.say("berta"), digest: self.say("aa") }],
            digest: self.say("5d41402abc4b2a76b9719d911017c592"),
        }
    }

    pub(crate) fn release(self, id: i64) -> Release {
        Release {
            id: ReleaseId(id),
            made_at: before(id * 3000),
            contents: Contents {
                artifacts: vec![Artifact { app: self.say("api"), digest: self.say("ab"), bytes: 4_000_000 }],
                manifest: self.say("[product]"),
                manifest_digest: self.say("cd"),
                settings: std::collections::BTreeMap::new(),
                origin: Origin {
                    commit: self.maybe("1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"),
                    changed: false,
                    branch: self.maybe("main"),
                    changes: vec![self.say("Baskets remember their currency"), self.say("One retry at the provider")],
                },
                author: self.say("Anna <anna@urbancart.example>"),
            },
            stable: id % 5 != 4,
        }
    }

    pub(crate) fn delivered(self) -> Delivered {
        let states =
            [State::AwaitingApproval, State::Live, State::RolledBack, State::Aborted, State::Live, State::Superseded];
        Delivered {
            deployments: states.into_iter().zip((1..=6).rev()).map(|(state, id)| self.deployment(id, state)).collect(),
            releases: (7..13)
                .rev()
                .map(|id| Released {
                    release: self.release(id),
                    role: match id {
                        11 => Some(SlotRole::Live),
                        10 => Some(SlotRole::Warm),
                        _ => None,
                    },
                })
                .collect(),
            may_approve: true,
        }
    }

    pub(crate) fn happened(self) -> Vec<Happened> {
        let states = [State::Queued, State::Preparing, State::AwaitingApproval, State::Starting, State::Smoking];
        states
            .into_iter()
            .zip(1..)
            .map(|(state, number)| Happened {
                number,
                at: before(60 - number),
                state,
                what: self.say("its artifacts are verified and unpacked"),
            })
            .collect()
    }

    pub(crate) fn app(self, name: &str, running: u32, wanted: u32) -> AppState {
        AppState {
            name: self.ours(name),
            url: Some(format!("https://{name}.staging.urbancart.example/{}", self.ours("x").len())),
            running,
            wanted,
            release: Some(self.ours("r12-1a2b3c4d5e6f")),
        }
    }

    pub(crate) fn overview(self) -> Overview {
        let this = NOW.unix_millis() / 60_000;
        let minutes =
            ["storefront", "api", "admin"].into_iter().zip([90, 240, 4]).flat_map(|(app, usual): (&str, u64)| {
                (0..60).map(move |age: i64| {
                    let wave = u64::try_from((age * age * 31 + age * 17) % 60).unwrap();
                    let requests = usual * (70 + wave) / 100;
                    Minute {
                        minute: this - age,
                        app: self.ours(app),
                        requests,
                        failed: if app == "api" && age < 3 { requests / 20 } else { 0 },
                        #[expect(clippy::cast_precision_loss, reason = "small")]
                        seconds: requests as f64 * 0.0184,
                    }
                })
            });
        let unit = |name: &str, is_well: bool, restarts: u32| UnitState {
            name: self.ours(name),
            state: if is_well { "running".into() } else { "crash loop".into() },
            is_well,
            restarts,
        };
        Overview {
            apps: vec![self.app("storefront", 2, 2), self.app("api", 1, 2), self.app("admin", 0, 0)],
            minutes: Ok(minutes.collect()),
            units: vec![
                unit("edge", true, 0),
                unit("control", true, 0),
                unit("telemetry", true, 1),
                unit("mongodb", true, 0),
                unit("redis", true, 0),
                unit("redis-cache", false, 9),
            ],
            issues: Ok((0..8).map(|id| self.issue(id)).collect()),
            deployments: self.delivered().deployments,
            gate: self.gate(),
            backups: Ok(Some(self.backups().standing())),
            elsewhere: vec![
                Elsewhere { environment: self.ours("local"), console: None, apps: Some(vec![self.app("api", 1, 1)]) },
                Elsewhere { environment: self.ours("preview/pr-42"), console: None, apps: None },
            ],
            troubles: vec![self.say("MongoDB has a user that nobody asked for")],
        }
    }

    pub(crate) fn services(self) -> Vec<ServiceState> {
        ["mongodb", "redis", "redis-cache"]
            .into_iter()
            .map(|name| ServiceState {
                name: self.ours(name),
                kind: "data service",
                state: self.ours("running"),
                is_well: true,
                role: Some(self.ours("primary")),
                pid: Some(4711),
                restarts: 0,
            })
            .collect()
    }

    pub(crate) fn full(self) -> Vec<(String, Vec<(String, String)>)> {
        vec![
            (
                self.ours("mongodb"),
                vec![(self.ours("Data"), self.ours("48 MiB")), (self.ours("Connections"), self.ours("12"))],
            ),
            (
                self.ours("redis"),
                vec![(self.ours("Memory"), self.ours("11 of 64 MiB")), (self.ours("Keys"), self.ours("20 113"))],
            ),
        ]
    }

    pub(crate) fn backups(self) -> BackupsTold {
        let one = |hours: i64, is_held: bool, proof: Proof| BackedUp {
            name: self.ours(&format!("2026-11-27T{:02}0000-000Z", 12 - hours)),
            taken: before(hours * 3600 + 60),
            at: Some(before(hours * 3600 + 58)),
            size: self.ours("48.1 MiB"),
            is_held,
            proof,
        };
        BackupsTold {
            repository: self.ours("sftp:backups@vault.example:/srv/urbancart/staging"),
            all: vec![one(0, false, Proof::Unproven), one(1, false, Proof::Restored), one(2, true, Proof::Failed)],
            slices: 4_211,
            covered: Some(before(3)),
            rehearsal: Some(Rehearsal {
                began: before(3_000),
                base: Some(self.ours("2026-11-27T110000-000Z")),
                took: Duration::from_millis(8_400),
                lost: Some(Duration::from_millis(1_200)),
                size: self.ours("48.1 MiB"),
                good: vec![self.say("12 collections with 20113 documents, their indexes too, are as they were")],
                bad: vec![self.say("orders: 4 documents are missing")],
            }),
            promised: Promised {
                every: Duration::from_secs(3600),
                drill: Duration::from_secs(86_400),
                rpo: Duration::from_secs(10),
                rto: Duration::from_secs(600),
                any_second: Duration::from_secs(604_800),
            },
            copies: vec![
                CopyState {
                    name: self.ours("offsite"),
                    repository: self.ours("s3:https://objects.vault.example/backups/staging"),
                    is_append_only: true,
                    complete: Some(before(40)),
                    trouble: None,
                },
                CopyState {
                    name: self.ours("cellar"),
                    repository: self.ours("/srv/cellar/staging"),
                    is_append_only: false,
                    complete: None,
                    trouble: Some(self.say("the disk is full")),
                },
            ],
            under_way: None,
            trouble: Some(self.say("cannot reach the repository")),
        }
    }

    pub(crate) fn in_backup(self) -> InBackup {
        let counted = |kind, name: &str, many, of, indexes, size: Option<&str>| Counted {
            kind,
            name: self.say(name),
            many,
            of,
            indexes,
            size: size.map(|size| self.ours(size)),
        };
        InBackup {
            name: self.ours("2026-11-27T110000-000Z"),
            of: self.ours("urbancart staging"),
            taken: before(3_660),
            counted: vec![
                counted("collection", "orders", 20_113, "documents", Some(4), Some("31.0 MiB")),
                counted("Redis", "redis", 812, "keys that stay", None, None),
                counted("bucket", "products", 411, "objects", None, Some("17.1 MiB")),
            ],
            files: 31,
        }
    }

    pub(crate) fn secrets(self) -> Vec<SecretState> {
        ["variable/JWT_SIGNING_KEY", "variable/PAYMENT_SECRET_KEY", "mongodb/app-api", "redis/app-api"]
            .into_iter()
            .zip(0..)
            .map(|(name, at)| SecretState {
                name: self.say(name),
                class: self.ours("auth"),
                version: Some(3),
                since: Some(before(at * 900_000)),
                others: vec![(2, self.say("previous"))],
                is_overdue: at == 2,
            })
            .collect()
    }

    pub(crate) fn noted(self) -> Vec<Noted> {
        (0..12)
            .map(|at| Noted {
                number: 400 - at,
                at: before(i64::try_from(at).unwrap() * 700),
                actor: self.say("anna@urbancart.example"),
                action: self.say("signed-in"),
                name: self.say("session/s3"),
                version: None,
                origin: self.say("203.0.113.7"),
                details: self.say("at console.staging.urbancart.example by link l2"),
            })
            .collect()
    }

    /// Every page, by its name.
    pub(crate) fn pages(self) -> Vec<(&'static str, String)> {
        let context = self.context();
        let delivered = self.delivered();
        let way = Way { from: Some(ReleaseId(11)), to: self.release(10), is_warm: true };
        vec![
            ("overview", overview(&context, &self.overview())),
            ("errors", errors(&context, &self.errors(30))),
            ("issue", issue(&context, &self.details())),
            ("request", request(&context, &self.request())),
            ("logs", logs(&context, &self.logs(40))),
            ("gate", gate(&context, &self.gate())),
            ("deployments", deliveries(&context, &delivered)),
            ("deployment", deployment(&context, &delivered.deployments[0], &self.release(13), &self.happened(), true)),
            (
                "failed-deployment",
                deployment(&context, &delivered.deployments[3], &self.release(12), &self.happened(), false),
            ),
            ("rollback", way_back(&context, &way)),
            ("services", services(&context, &self.services(), &Ok(self.full()))),
            ("backups", backups(&context, &Backups::Told(Box::new(self.backups())))),
            ("backup", backup(&context, &self.in_backup(), self.backups().all.get(1))),
            ("secrets", secrets(&context, &self.secrets())),
            ("audit", audit(&context, &self.noted(), 4000)),
            (
                "told",
                told(
                    &context,
                    &self.say("cannot reach telemetry"),
                    &[self.say("it does not answer")],
                    Some(&self.say("`roadbed status`")),
                ),
            ),
        ]
    }
}
