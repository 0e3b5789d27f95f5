//! The runbook, followed to the letter; the rehearsal of a rollback, held to its word; what is kept of an incident.

use std::fs;
use std::path::Path;
use std::process::Command;

use incidents::{commands, runbook};
use serde_json::Value;

use crate::command::{self, Answer};
use crate::deployments::{key, says};
use crate::stage::Stage;

const ROLLOUT: &str = "rollout = { verify = \"1s\", keep_warm = \"1h\" }\n";

/// Listens and is never ready.
const NEVER_READY: &str = "require('node:http').createServer((_, answer) => { answer.statusCode = 503; answer.end('no'); })\
    .listen(Number(process.env.PORT), '127.0.0.1');";

/// The smallest product in production, as a checkout on a server has it.
fn production() -> Stage {
    let mut stage = Stage::new();
    let domain = "domain = \"tiny.example\"\n";
    stage.edit(domain, &format!("{domain}{ROLLOUT}"));
    stage.root = stage.project.join(".roadbed-envs/production");
    stage.roadbed("generate").exits(0);
    for release in ["one", "two"] {
        stage.server(&says(release));
        stage.roadbed("deploy --env production --free-ports").exits(0);
    }
    stage
}

/// As somebody types it: in a shell, in the folder of the manifest, with no root named.
fn typed(stage: &Stage, line: &str) -> Answer {
    let folder = stage.program.parent().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(&stage.project).env_clear().envs(&stage.env);
    command.env("PATH", format!("{}:{}", folder.display(), stage.env["PATH"]));
    command::begin(line.to_owned(), command).end()
}

/// The states that the newest deployment went through.
fn went_through(root: &Path) -> Vec<String> {
    let book = rusqlite::Connection::open(root.join("state/delivery.db")).unwrap();
    let newest = "SELECT state FROM happened WHERE deployment = (SELECT max(id) FROM deployment) ORDER BY number";
    let mut statement = book.prepare(newest).unwrap();
    let mut states: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    states.dedup();
    states
}

fn states(rehearsed: &Value) -> Vec<String> {
    let states = rehearsed["course"]["states"].as_array().unwrap();
    states.iter().map(|state| state.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_command_of_the_runbook_can_be_typed_as_it_stands() {
    let stage = production();
    let page = fs::read_to_string(stage.project.join(runbook::PATH)).unwrap();
    let all = commands(&page);
    assert!(all.len() > 25, "{all:?}");
    for command in &all {
        let line = command.text.as_str();
        // There is something to call off only while something is under way.
        let under_way = line.contains("deploy cancel").then(|| {
            stage.server(NEVER_READY);
            let begun = stage.begin("deploy --env production --free-ports");
            begun.wait_for("starting");
            begun
        });
        let before = stage.visit().1;
        let answer = typed(&stage, line);
        assert_eq!(answer.code, Some(0), "line {} of the runbook:\n{answer}", command.line);
        if let Some(begun) = under_way {
            begun.end().exits(13);
        }
        let is_rollback = line.contains(" rollback ") && !line.contains("--dry-run");
        assert_eq!(stage.visit().1 != before, is_rollback, "`{line}` went from {before} to {}", stage.visit().1);
    }
    // The page of the repository tells the same commands, of its own environments.
    let of = |text: &str, environment: &str| -> Vec<String> {
        let named = format!("--env {environment}");
        commands(text)
            .into_iter()
            .filter(|command| command.text.contains(&named))
            .map(|command| command.text.replace(&named, "--env E"))
            .collect()
    };
    let ours = fs::read_to_string(testkit::repository().join(runbook::PATH)).unwrap();
    let typed_here = of(&page, "production");
    for environment in ["staging", "production"] {
        let theirs = of(&ours, environment);
        assert!(!theirs.is_empty() && theirs.iter().all(|line| typed_here.contains(line)), "{theirs:#?}");
    }
}

#[test]
fn a_rehearsed_rollback_says_exactly_what_then_happens() {
    // Long enough that a slow machine gives nothing up between the rehearsal and the rollback.
    let stage = Stage::delivered();
    for release in ["one", "two", "three"] {
        stage.deploy(&says(release)).exits(0);
    }
    let artifact =
        |release: usize| stage.json("releases --json")["releases"][release]["artifacts"][0]["digest"].clone();
    // Warm: nothing is started.
    let rehearsed = stage.json("rollback --dry-run --json");
    assert_eq!((rehearsed["warm"].as_bool(), rehearsed["to"].as_str()), (Some(true), Some("r2")), "{rehearsed}");
    assert!(!states(&rehearsed).contains(&"starting".to_owned()), "{rehearsed}");
    let app = &rehearsed["course"]["apps"][0];
    assert_eq!((&app["app"], &app["from"], &app["to"]), (&"web".into(), &artifact(0), &artifact(1)));
    stage.roadbed("rollback --dry-run").exits(0).says(&[
        "queued → preparing → switching → verifying → draining → live",
        "nothing was done; `roadbed rollback` does this",
    ]);
    assert_eq!(stage.visit().1, "r3");
    stage.roadbed("rollback").exits(0);
    assert_eq!((went_through(&stage.root), stage.visit()), (states(&rehearsed), ("tiny two".into(), "r2".into())));

    // Cold: from its artifacts, started and looked at like any other.
    let rehearsed = stage.json("rollback --to r1 --dry-run --json");
    assert_eq!(rehearsed["warm"], false, "{rehearsed}");
    assert!(states(&rehearsed).contains(&"smoking".to_owned()), "{rehearsed}");
    stage.roadbed("rollback --to r1").exits(0);
    assert_eq!((went_through(&stage.root), stage.visit()), (states(&rehearsed), ("tiny one".into(), "r1".into())));
}

#[test]
fn the_gate_sees_a_runbook_that_cannot_be_followed() {
    const ROW: &str = "runbook-can-be-followed";
    let stage = Stage::new();
    stage.roadbed("generate").exits(0);
    stage.up();
    let look = || -> Value {
        let answer = stage.roadbed(&format!("ready --json --only {ROW}"));
        serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{answer}"))
    };
    let holds = || assert_eq!(look()["checks"][0]["verdict"], "holds", "{:#}", look());
    let fails = |because: &str| {
        let check = look()["checks"][0].clone();
        assert_eq!(check["verdict"], "fails", "{check:#}");
        assert!(check["observed"].to_string().contains(because), "no {because:?} in {check:#}");
    };
    holds();
    let page = fs::read_to_string(stage.project.join(runbook::PATH)).unwrap();
    // Somebody edits a contact where it is made from the manifest.
    stage.write(runbook::PATH, &page.replace("team@tiny.example", "gone@tiny.example"));
    fails("is not as the manifest makes it");
    stage.roadbed("generate --check").refuses(1, &["runbook.md"]);
    stage.roadbed("generate").exits(0);
    holds();
    // What a team adds stays, and is read as well.
    let added = page.replace("<!-- /kept -->", "```sh\nroadbed rollbak --env production\n```\n<!-- /kept -->");
    stage.write(runbook::PATH, &added);
    stage.roadbed("generate --check").exits(0);
    fails("`roadbed rollbak --env production`");
    stage.write(runbook::PATH, &added.replace("rollbak", "rollback"));
    holds();
    // An environment that was renamed under it.
    stage.write(runbook::PATH, &added.replace("rollbak --env production", "rollback --env live"));
    fails("there is no environment live");
    stage.write(runbook::PATH, &page);
    // Nobody says who leads.
    let two = "[owners.team]\n";
    stage.edit(two, &format!("[owners.other]\ndescription = \"Rest\"\ncontact = \"other@tiny.example\"\n\n{two}"));
    stage.roadbed("generate").exits(0);
    fails("nobody is named who leads");
    stage.edit("[branches]\n", "[incidents]\nlead = \"other\"\n\n[branches]\n");
    stage.roadbed("generate").exits(0);
    holds();
    fs::remove_file(stage.project.join(runbook::PATH)).unwrap();
    // `local` is visited by nobody: without a page there is nothing to promise of it.
    stage.roadbed(&format!("ready --only {ROW}")).refuses(1, &["there is no check"]);
}

#[test]
fn a_team_is_told_what_is_in_its_way_and_whom_to_ask_and_others_read_the_report() {
    let stage = Stage::new();
    stage.up();
    stage.roadbed("ready --for frontend").exits(0).says(&["T15", "variables have their values", "answers 200"]);
    stage.roadbed("ready --for web").exits(0).says(&["frontend-can-work"]);
    stage.roadbed("ready --for backend").refuses(2, &["there is no team \"backend\"", "frontend"]);
    stage.roadbed("ready --explain frontend-can-work").exits(0).says(&["team, team@tiny.example", "period", "reaches"]);

    let watching = stage.begin("ready --only frontend-can-work --watch 2s");
    watching.wait_for("✓ holds");
    stage.server(
        "require('node:http').createServer((_, answer) => { answer.statusCode = 500; answer.end('no'); })\
        .listen(Number(process.env.PORT), '127.0.0.1');",
    );
    stage.roadbed("up --detach --no-gate");
    watching.wait_for("✗ fails");
    stage.roadbed("ready --for frontend").exits(1).says(&["BROKEN: web: https://", "ask team, team@tiny.example"]);

    let formats = "ready --only frontend-can-work,http-redirects --report junit=gate.xml --report html=gate.html \
        --report sarif=gate.sarif --report badge=gate.svg";
    stage.roadbed(&formats.split_whitespace().collect::<Vec<_>>().join(" ")).exits(1);
    let read = |file: &str| fs::read_to_string(stage.project.join(file)).unwrap();
    assert!(read("gate.xml").contains("tests=\"2\" failures=\"1\""), "{}", read("gate.xml"));
    assert!(read("gate.html").contains("team, team@tiny.example") && read("gate.svg").contains("1 of 2 hold"));
    let sarif: Value = serde_json::from_str(&read("gate.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "frontend-can-work");
    let alone = stage.roadbed("ready --only http-redirects --report junit").exits(0);
    assert!(alone.out[0].starts_with("<?xml") && alone.out.last().unwrap().contains("</testsuites>"), "{alone}");
    stage.roadbed("ready --report pdf").exits(2).says(&["none of html, junit, sarif and badge"]);

    stage.server(&says("again"));
    stage.roadbed("up --detach --no-gate").exits(0);
    stage.until("it holds again", || watching.count("✓ holds") == 2);
    watching.signal("INT");
    watching.end().exits(0);
}

#[test]
fn an_incident_keeps_what_people_and_machines_saw_also_while_everything_is_down() {
    let stage = Stage::delivered();
    stage.roadbed("incident list").refuses(1, &["there is no environment in"]);
    stage.deploy(&says("one")).exits(0);
    stage.roadbed("ready --only http-redirects").exits(0);
    stage.roadbed("incident note nothing").refuses(1, &["no incident is open", "incident open"]);
    stage.roadbed("incident open checkout-fails --severity critical --by anna").exits(0).says(&[
        "i1 is open: checkout-fails",
        "team leads: team@tiny.example",
        "docs/infra/runbook.md",
    ]);
    stage.roadbed("incident open again").refuses(1, &["i1 is open already"]);
    stage.roadbed("incident role lead bert").exits(0);
    stage
        .roadbed("incident update investigating orders-fail --next 20m")
        .exits(0)
        .says(&["looking into a problem with tiny"]);
    stage.roadbed("incident close").refuses(1, &["customers were not told that i1 is over"]);
    stage.deploy(&says("two")).exits(0);
    stage.roadbed("down").exits(0);
    // Everything is down: what is said is kept all the same.
    stage.roadbed("incident note restarted-it").exits(0);
    let shown = stage.json("incident show --json");
    let texts: Vec<String> =
        shown["timeline"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    let place = |text: &str| {
        texts.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in {texts:#?}"))
    };
    assert!(place("d1: live") < place("opened, critical: checkout-fails"));
    assert!(place("lead is bert") < place("d2: live") && place("d2: live") < place("restarted-it"));
    stage.roadbed("incident update resolved orders-work").exits(0);
    stage.roadbed("incident close").exits(0);
    stage.roadbed("incident report").exits(0).says(&[
        "# i1: checkout-fails",
        "| lead | bert |",
        "d2: live",
        "What we change",
    ]);
    stage.roadbed("incident note late").refuses(1, &["no incident is open"]);
    stage.roadbed("incident show i9").refuses(1, &["there is no incident i9"]);
    stage.roadbed("incident list").exits(0).says(&["i1", "critical", "bert"]);
}

#[test]
fn visitors_get_nothing_new_while_a_door_is_open_that_no_deployment_closes() {
    let mut stage = Stage::new();
    stage.edit(
        "[branches]\nmain = \"production\"\n",
        "[branches]\nmain = \"production\"\ndevelop = \"staging\"\n\n[environments.staging]\ndomain = \"staging.tiny.example\"\n\n\
         [ci.workflows.promote]\nproduction = \"staging\"\n",
    );
    stage.root = stage.project.join(".roadbed-envs/production");
    stage.server(&says("one"));
    stage.roadbed("deploy --env production --free-ports").exits(0);
    let ledger =
        gate::Ledger::open(&stage.root.join("state/evidence.db"), host::database::Presence::MustExist).unwrap();
    let seen = |id: &str, verdict: gate::Verdict| {
        let evidence = gate::Evidence {
            task: "T4".into(),
            id: id.into(),
            claim: "a promise".into(),
            verdict,
            observed: vec!["BROKEN: anybody is let in".into()],
            at: host::clock::Clock::now(&host::clock::SystemClock),
            took_ms: 1,
            hint: None,
        };
        ledger.append(&evidence).unwrap();
    };
    // What a deployment may mend is not in its way.
    seen("apps-are-reachable", gate::Verdict::Fails);
    stage.server(&says("two"));
    stage.roadbed("deploy --env production --free-ports").exits(0);
    seen("redis-guards-its-door", gate::Verdict::Fails);
    stage.server(&says("three"));
    stage.roadbed("deploy --env production --free-ports").refuses(
        1,
        &["nothing is deployed to production: redis-guards-its-door does not hold", "anybody is let in", "--despite"],
    );
    stage
        .roadbed("deploy --env production --free-ports --despite hotfix")
        .refuses(1, &["2 people would have to say that it is right, and the release's manifest and the one that is in force both name 0"]);
    assert_eq!(stage.visit().0, "tiny two");
    // Going back is never in the way of anything.
    stage.roadbed("rollback --env production").exits(0);
    seen("redis-guards-its-door", gate::Verdict::Holds);
    stage.roadbed("deploy --env production --free-ports").exits(0);
    assert_eq!(stage.visit().0, "tiny three");
}

#[test]
fn a_broken_promise_is_deployed_over_by_the_word_of_two_others_and_that_is_kept() {
    let mut stage = Stage::new();
    let people = ["ann", "bob", "cid"].map(|name| (name, key(&stage, name)));
    let tables = people.iter().map(|(name, (_, public))| format!("[people.{name}]\nssh = [\"{public}\"]\n\n"));
    stage.edit(
        "[branches]\nmain = \"production\"\n",
        &format!(
            "{}[branches]\nmain = \"production\"\ndevelop = \"staging\"\n\n[environments.staging]\ndomain = \"staging.tiny.example\"\n\n\
             [ci.workflows.promote]\nproduction = \"staging\"\n",
            tables.collect::<String>()
        ),
    );
    let domain = "domain = \"tiny.example\"\n";
    stage.edit(domain, &format!("{domain}rollout = {{ verify = \"1s\" }}\n"));
    stage.root = stage.project.join(".roadbed-envs/production");
    stage.server(&says("one"));
    stage.roadbed("deploy --env production --free-ports").exits(0);
    let ledger =
        gate::Ledger::open(&stage.root.join("state/evidence.db"), host::database::Presence::MustExist).unwrap();
    let evidence = gate::Evidence {
        task: "T4".into(),
        id: "redis-guards-its-door".into(),
        claim: "a promise".into(),
        verdict: gate::Verdict::Fails,
        observed: vec!["BROKEN: anybody is let in".into()],
        at: host::clock::Clock::now(&host::clock::SystemClock),
        took_ms: 1,
        hint: None,
    };
    ledger.append(&evidence).unwrap();

    let login = |name: &str| {
        let (_, (file, _)) = people.iter().find(|(known, _)| *known == name).unwrap();
        stage.roadbed(&format!("login --env production --key {file}")).exits(0);
    };
    login("ann");
    stage.server(&says("two"));
    let looking = stage.begin("deploy --env production --free-ports --despite hotfix");
    looking.wait_for("● awaiting-approval");
    stage.roadbed("deploy approve d2 --env production").refuses(1, &["ann made this release"]);
    login("bob");
    stage.roadbed("deploy approve d2 --env production").exits(0).says(&["d2: approved, 1 of 2"]);
    stage.roadbed("deploy approve d2 --env production").refuses(1, &["bob has approved already"]);
    assert_eq!(stage.visit().0, "tiny one", "one person is not enough");
    login("cid");
    stage.roadbed("deploy approve d2 --env production").exits(0).says(&["d2: approved, 2 of 2"]);
    looking.end().exits(0);
    assert_eq!(stage.visit().0, "tiny two");
    stage.roadbed("deploy follow d2 --env production").exits(0).says(&[
        "ann: asked for although redis-guards-its-door does not hold: hotfix",
        "approved by bob",
        "approved by cid",
    ]);
}
