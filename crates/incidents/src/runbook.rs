//! `docs/infra/runbook.md`: what whoever is called at night follows, from the manifest.
//!
//! Each command in it has its environment's name and can be typed as it stands. What a team adds stands between two marks and stays.

use std::fmt::Write;
use std::time::Duration;

use manifest::{Incidents, Manifest, Owner, OwnerName, ServedEnvironment};

use crate::messages;

/// Where the page lies, relative to the manifest.
pub const PATH: &str = "docs/infra/runbook.md";

const KEPT: &str = "<!-- kept: what is written between these two marks is the team's own -->";
const KEPT_END: &str = "<!-- /kept -->";

/// What stands there until a team has written something.
const NOTHING_KEPT: &str =
    "Nothing yet. Telephone numbers, doors, providers' support lines: whatever no manifest knows.\n";

/// The page. `before` is what lies there now: what a team has added is taken over from it.
pub fn page(manifest: &Manifest, before: Option<&str>) -> String {
    let incidents = manifest.incidents();
    let served = manifest.served_environments();
    let mut page = format!(
        "<!-- Generated from roadbed.toml by `roadbed generate`; edit that, or what stands between the marks of \"What only we know\". -->\n\
         # Runbook\n\n{INTRODUCTION}"
    );
    page += &called(&incidents);
    page += &look(&served);
    page += DECIDE;
    page += &triggers(manifest, &served);
    page += &back(&served);
    page += &otherwise(&served);
    page += &tell(&incidents, &served);
    page += &practise(&served);
    page + "## What only we know\n\n" + KEPT + "\n" + kept(before).unwrap_or(NOTHING_KEPT) + KEPT_END + "\n"
}

/// What a team has added to the page.
fn kept(before: Option<&str>) -> Option<&str> {
    let (_, after) = before?.split_once(KEPT)?;
    let (kept, _) = after.split_once(KEPT_END)?;
    kept.strip_prefix('\n')
}

const INTRODUCTION: &str = "\
For whoever is called. Go from top to bottom; stop where it says so. Every command is typed as it stands here, in the folder of
`roadbed.toml` on the machine of the environment. One person leads and decides; that is who is called first, until they say who does.

";

fn called(incidents: &Incidents) -> String {
    let mut page = "## Who is called\n\n".to_owned();
    let Some(lead) = &incidents.lead else {
        return page + "Nobody is named: write `lead` into `[incidents]` of roadbed.toml, then `roadbed generate`.\n\n";
    };
    let _ = writeln!(
        page,
        "Each has {} to answer, then the next one is called. Whoever answers says so, and to whom the lead goes.\n",
        minutes(incidents.answer_within)
    );
    page += "| turn | owner | contact |\n| ---: | --- | --- |\n";
    let order = std::iter::once(lead).chain(&incidents.escalation);
    for (turn, name) in order.enumerate() {
        let contact = incidents.owner(name).map(|owner| cell(&owner.contact)).unwrap_or_default();
        let _ = writeln!(page, "| {} | {name} | {contact} |", turn + 1);
    }
    page += "\nWho owns what is broken is called too, whoever leads:\n\n";
    page += "| owner | answers for | apps | promises of the gate | contact |\n| --- | --- | --- | --- | --- |\n";
    for owner in &incidents.owners {
        let Owner { name, description, contact } = owner;
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {} |",
            cell(description),
            apps_of(incidents, name),
            promises_of(incidents, name),
            cell(contact)
        );
    }
    page + "\n"
}

fn apps_of(incidents: &Incidents, name: &OwnerName) -> String {
    let apps = incidents.apps.iter().filter(|(_, owner)| owner == name).map(|(app, _)| app.as_str());
    apps.collect::<Vec<_>>().join(", ")
}

fn promises_of(incidents: &Incidents, name: &OwnerName) -> String {
    let named = incidents.promises.iter().filter(|(_, owner)| *owner == name).map(|(promise, _)| promise.as_str());
    let rest = (incidents.lead.as_ref() == Some(name)).then_some("all that nobody else is named for");
    named.chain(rest).collect::<Vec<_>>().join(", ")
}

fn look(served: &[ServedEnvironment]) -> String {
    let mut page = "## 1. Look: two minutes\n\nNote the time, then:\n\n".to_owned();
    for ServedEnvironment { name, .. } in served {
        let _ = write!(
            page,
            "### {name}\n\n```sh\n\
             roadbed incident open --env {name} 'What visitors see, in one sentence'\n\
             roadbed status --env {name}\n\
             roadbed deploy list --env {name}          # did it begin with a deployment?\n\
             roadbed ready history --env {name}        # what held until when\n\
             roadbed errors --env {name}\n\
             roadbed logs --env {name} --level error --since 15m\n\
             ```\n\n"
        );
    }
    page
}

const DECIDE: &str = "\
## 2. Decide

The first row that is true; do not look for a cause first.

| what you see | do | why |
| --- | --- | --- |
| a deployment is under way, and is not at `switching` yet | call it off: section 3, first command | visitors have seen nothing of it |
| it began within an hour of a deployment that is `live` | go back: section 3 | going back is safe, and the cause can be found in daylight |
| a deployment is `frozen` | go back: section 3; if that fails too, call the next | neither forward nor back was any better, so a person decides |
| `status` says that the environment is down | start it: section 4 | everything is kept on disk and comes back in order |
| one unit restarts again and again | restart it: section 4; if it goes on, call who owns it | the log says why, and its owner can read it |
| a data service is away or has lost data | touch nothing; call the lead, then [disaster-recovery.md](disaster-recovery.md) | a hurried start may cost what a restore would bring |
| a key or a password has come out | rotate it: section 4 | the old value is worth nothing an hour later |
| too many requests, from few addresses | block them: section 4 | limits hold, but others wait |
| certificates are refused | section 4; visitors must not be told to ignore it | a warning that is clicked away protects nobody |
| none of these, and customers are hit | call the next who is called | two see more than one; say what you have seen |
| none of these, and nobody is hit | write a note, close it, sleep | it is there in the morning |

";

fn triggers(manifest: &Manifest, served: &[ServedEnvironment]) -> String {
    let mut page = "### When to go back without asking anybody\n\nOne is enough:\n\n".to_owned();
    page += "\
- a promise of the gate held before the deployment and fails since
- the storefront, a login or a payment does not work, tried twice by hand
- the errors of the new release are more than twice those of the one before, over five minutes
- whoever deployed it says so

Not by going back: data that is wrong. It stays wrong, and the way back may be closed by a change of data; the rehearsal says so.

What is done by itself, before anybody is called:

| environment | watched after a switch | taken back by itself | way back stands ready | people who say yes before |
| --- | --- | --- | --- | ---: |
";
    for environment in served {
        let name = &environment.name;
        let reference = manifest::EnvRef::new(name.clone());
        let Ok(resolved) = manifest.resolve(&reference) else { continue };
        let (verify, warm) = (time(resolved.rollout.verify), time(resolved.rollout.keep_warm));
        let _ =
            writeln!(page, "| {name} | {verify} | pages, errors or slowness | {warm} | {} |", environment.approvals);
    }
    page + "\n"
}

fn back(served: &[ServedEnvironment]) -> String {
    let mut page = "## 3. Go back: one command\n\nFirst the rehearsal. It says to which release, how, in which steps and what becomes of \
                    each app, and does nothing; the command after it does exactly that.\n\n"
        .to_owned();
    for ServedEnvironment { name, control, .. } in served {
        let _ = write!(
            page,
            "### {name}: back\n\n```sh\n\
             roadbed deploy cancel --env {name}         # only while one is under way\n\
             roadbed rollback --env {name} --dry-run\n\
             roadbed rollback --env {name}\n\
             roadbed ready --env {name}\n\
             ```\n\n"
        );
        if let Some(url) = control {
            let _ = write!(
                page,
                "From elsewhere the same, with a token of a deployer in ROADBED_TOKEN: `--remote {url}` behind `--env {name}`.\n\n"
            );
        }
    }
    page += "\
| `rollback` ends with | what it means | do |
| --- | --- | --- |
| 0 | the release before serves | section 5 |
| 1, \"data has gone past it\" | a change of data took away what that release needs | do not force it: call the owner of the app that is named |
| 1, \"there is no release to go back to\" | it is the first one | deploy the commit before: `git revert`, push |
| 10 | it could not be started; visitors have seen nothing | `roadbed logs` of the app that is named, call its owner |
| 12 | it does no better than what it replaced | the trouble is not the release: back to section 2, without its first three rows |

";
    page
}

fn otherwise(served: &[ServedEnvironment]) -> String {
    let mut page = "## 4. What is not mended by going back\n\n".to_owned();
    for ServedEnvironment { name, .. } in served {
        let _ = write!(
            page,
            "### {name}: other steps\n\n```sh\n\
             roadbed up --env {name} --detach          # it is down: start it\n\
             roadbed restart --env {name}              # every instance, one after the other\n\
             roadbed edge top --env {name}             # who asks most\n\
             roadbed edge list --env {name}            # who is kept out already; `edge block NETWORK` adds\n\
             roadbed secrets list --env {name}         # how old each is; `secrets rotate NAME` makes a new one\n\
             roadbed restart --env {name} edge         # takes up certificates anew\n\
             ```\n\n"
        );
    }
    page
}

fn tell(incidents: &Incidents, served: &[ServedEnvironment]) -> String {
    let mut page = "## 5. Tell people\n\n".to_owned();
    match &incidents.status_page {
        Some(url) => {
            let _ = writeln!(
                page,
                "Customers read {url}. Write there first, then mend; the next message comes when it was promised, even \
                                    if nothing is new.\n"
            );
        }
        None => {
            page += "Write to customers first, then mend; the next message comes when it was promised, even if nothing is new.\n\n"
        }
    }
    page += "`roadbed incident update` fills the gaps and keeps what was said:\n\n";
    for ServedEnvironment { name, .. } in served {
        let _ = write!(
            page,
            "```sh\n\
             roadbed incident update --env {name} investigating 'orders fail for some'\n\
             roadbed incident note --env {name} 'what you saw or did'\n\
             roadbed incident role --env {name} lead 'who leads now'\n\
             roadbed incident update --env {name} resolved 'orders work again'\n\
             roadbed incident close --env {name}\n\
             roadbed incident report --env {name}      # draft of what is written afterwards\n\
             ```\n\n"
        );
    }
    for message in messages::ALL {
        let _ = write!(page, "**{}** ({}):\n\n> {}\n\n", message.name, message.when, message.text);
    }
    page +=
        "Never write a name of a customer, a guess about who is to blame, or a time by which it will be mended.\n\n";
    page
}

fn practise(served: &[ServedEnvironment]) -> String {
    // Where it is practised first is where the others' releases come from.
    let sources: Vec<_> = served.iter().filter_map(|environment| environment.from.as_ref()).collect();
    let where_to = served.iter().find(|one| sources.contains(&&one.name)).or_else(|| served.first());
    let Some(ServedEnvironment { name, .. }) = where_to else { return String::new() };
    format!(
        "## Practise it\n\nOnce a quarter, by everybody who can be called, in {name}: back and forth again. What is not clear is mended in \
         `roadbed.toml` or here, the same day.\n\n```sh\n\
         roadbed rollback --env {name} --dry-run\n\
         roadbed rollback --env {name}\n\
         roadbed rollback --env {name}             # and forth again\n\
         roadbed ready --env {name} --only T14\n\
         ```\n\n"
    )
}

fn minutes(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => format!("{} seconds", time.as_secs()),
        1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// `10 s`, `15 min`, `24 h`
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use manifest::Source;

    use super::*;
    use crate::commands::commands;

    const SHOP: &str = r#"
[product]
name = "shop"
[owners.platform]
description = "Machines | rooms"
contact = "platform@shop.example"
[owners.backend]
description = "The API"
contact = "backend@shop.example"
[branches]
main = "production"
develop = "staging"
[environments.local]
domain = "shop.localhost"
[environments.staging]
domain = "staging.shop.example"
[environments.production]
domain = "shop.example"
[apps.api]
owner = "backend"
path = "apps/api"
kind = "node"
hosts = ["api"]
start = ["node", "server.js"]
[incidents]
lead = "platform"
escalation = ["backend"]
status_page = "https://status.shop.example"
[incidents.promises]
T12 = "backend"
"#;

    fn shop(text: &str) -> Manifest {
        let (manifest, faults) = manifest::parse(&Source::new("roadbed.toml", text));
        assert!(faults.iter().all(|fault| fault.severity != manifest::Severity::Error), "{faults:?}");
        manifest.unwrap()
    }

    #[test]
    fn it_names_who_is_called_in_which_order_and_what_they_answer_for() {
        let page = page(&shop(SHOP), None);
        assert!(page.contains("| 1 | platform | platform@shop.example |\n| 2 | backend |"), "{page}");
        assert!(page.contains("| backend | The API | api | T12 | backend@shop.example |"), "{page}");
        assert!(page.contains("Machines \\| rooms"));
        assert!(page.contains("15 minutes to answer") && page.contains("https://status.shop.example"));
    }

    #[test]
    fn each_environment_that_visitors_have_has_its_own_commands_and_no_gap_in_them() {
        let page = page(&shop(SHOP), None);
        let all = commands(&page);
        for environment in ["staging", "production"] {
            for command in [
                format!("roadbed rollback --env {environment}"),
                format!("roadbed rollback --env {environment} --dry-run"),
            ] {
                assert!(all.iter().any(|one| one.text == command), "{command} is missing");
            }
        }
        for command in &all {
            assert!(command.words().is_some_and(|words| words[0] == "roadbed"), "{command:?}");
            assert!(!command.text.contains(['<', '{', '$']), "{command:?} cannot be typed as it stands");
        }
        assert!(!all.iter().any(|one| one.text.contains("--env local")));
    }

    #[test]
    fn what_a_team_has_written_stays_and_the_rest_is_made_anew() {
        let first = page(&shop(SHOP), None);
        let ours = first.replace(NOTHING_KEPT, "Ring twice.\n").replace("backend@shop.example", "old@shop.example");
        let next = page(&shop(SHOP), Some(&ours));
        assert!(next.contains("Ring twice.\n<!-- /kept -->") && !next.contains("old@"), "{next}");
        assert_eq!(page(&shop(SHOP), Some(&next)), next);
        // Without the marks there is nothing that could be kept.
        assert_eq!(page(&shop(SHOP), Some("something else")), first);
    }

    #[test]
    fn without_a_lead_it_says_what_to_write() {
        let text = SHOP.replace("lead = \"platform\"\n", "");
        assert!(page(&shop(&text), None).contains("write `lead` into `[incidents]`"));
    }
}
