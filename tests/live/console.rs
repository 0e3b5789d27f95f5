//! The console: what goes wrong is on a page within five seconds, whoever looks was let in, and nobody else changes anything.

use std::time::{Duration, Instant};

use secrets::SecretName;
use serde_json::Value;
use telemetry::Project;
use testkit::{Environment, Person};

use crate::stage;

/// What a person waits for who has just seen an error.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// Somebody with a link of `roadbed console`.
pub(crate) fn sign_in(shop: &Environment, words: &[&str]) -> Person {
    let mut args = vec!["console", "--json"];
    args.extend_from_slice(words);
    let made = shop.roadbed(&args).expect(0).json();
    Person::by_link(shop.client(), made["url"].as_str().unwrap())
}

fn secret(shop: &Environment, name: &SecretName) -> String {
    stage::store_of(shop).get(name).unwrap().unwrap().secret.expose().to_owned()
}

fn issue_of(page: &str) -> String {
    page.split("href=\"/errors/").nth(1).expect("an issue is named").split('"').next().unwrap().to_owned()
}

#[test]
fn forced_errors_are_shown_with_all_that_is_known_of_their_request() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let mut anna = sign_in(&shop, &[]);

    // In the API.
    let token = secret(&shop, &SecretName::variable("FAULT_TOKEN"));
    shop.shows("FAULT_TOKEN");
    let api = shop.url("api");
    let failed = shop.client().post(&format!("{api}/debug/error"), &[("x-fault-token", &token)], "").unwrap();
    let began = Instant::now();
    assert_eq!(failed.status, 500);
    let request = failed.headers["x-request-id"].clone();
    let page = anna.sees(&format!("/requests/{request}"), &["href=\"/errors/", &request]);
    assert!(began.elapsed() < SHOWN_WITHIN, "{:?}", began.elapsed());
    let issue = issue_of(&page);
    let shown = anna.sees(&format!("/errors/{issue}"), &[&request, ">local</span>", "<dt>Release</dt>"]);
    assert!(shown.contains("class=\"stack\""), "where in the code it was is shown");
    // The same number finds the line of the edge, the line of the app, and the trace.
    let page = anna
        .sees(&format!("/requests/{request}"), &["/debug/error", "api-1", "class=\"waterfall\"", "What was written"]);
    assert!(page.contains("<strong>POST</strong>"), "{page}");
    anna.sees("/errors", &[&format!("href=\"/errors/{issue}\""), ">local</span>"]);

    // In a page, as its script reports it, with a text that means harm.
    let key = Project::page_key(&secret(&shop, &SecretName::new("errors/app-admin")));
    let project = Project::id_of("admin");
    let harm = "Broken <script>alert(1)</script>\\\" onload=alert(2)";
    let event = format!(
        r#"{{"platform":"javascript","release":"page-1","level":"error","exception":{{"values":[{{"type":"TypeError","value":"{harm}"}}]}},"tags":{{"request_id":"page-0123456789ab"}}}}"#
    );
    let admin = shop.url("admin");
    let path = format!("{admin}/.roadbed/telemetry/api/{project}/envelope/?sentry_key={key}");
    let taken = shop.client().post(&path, &[], &format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n")).unwrap();
    assert_eq!(taken.status, 200, "{taken:?}");
    let page = anna.sees("/requests/page-0123456789ab", &["href=\"/errors/", "Broken"]);
    assert!(!page.contains("<script>alert"), "what a stranger wrote is text");
    let shown = anna.sees(&format!("/errors/{}", issue_of(&page)), &["page-1", "page-0123456789ab", ">local</span>"]);
    assert!(!shown.contains("<script>alert"), "what a stranger wrote is text");

    // Every page is there, allows nothing but our own files, and stays small.
    for path in ["/", "/errors", "/logs", "/gate", "/deployments", "/services", "/backups", "/secrets", "/audit"] {
        let began = Instant::now();
        let page = anna.ask("GET", path, &[], "");
        eprintln!("{path}: {} bytes in {} ms", page.body.len(), began.elapsed().as_millis());
        assert_eq!(page.status, 200, "{path}: {page:?}");
        assert!(page.body.len() <= 100 * 1024, "{path}: {}", page.body.len());
        assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(page.body.contains("</html>"));
    }
    let kept = anna.see("/secrets");
    assert!(kept.contains("FAULT_TOKEN") && !kept.contains(&token), "names and no values");
}

#[test]
fn nobody_changes_anything_whom_the_form_was_not_given_to() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    let mut anna = sign_in(&shop, &[]);
    let mut ben = sign_in(&shop, &["--look", "--for", "ben"]);

    let token = anna.form_token("/gate");
    for (form, headers, why) in [
        ("", &[][..], "no token"),
        ("token=", &[], "an empty one"),
        ("token=0123456789abcdef", &[], "one that was made up"),
        (&format!("token={token}&token={token}"), &[], "two"),
        (&format!("token={token}"), &[("sec-fetch-site", "cross-site")], "another site"),
        (&format!("token={token}"), &[("origin", "https://evil.example")], "another origin"),
    ] {
        let answer = anna.ask("POST", "/gate", headers, form);
        assert_eq!(answer.status, 403, "{why}: {answer:?}");
    }
    // Another session's token is nobody's, and who may look changes nothing.
    let looking = ben.see("/gate");
    assert!(!looking.contains("method=\"post\""), "who may look gets no button");
    assert_eq!(ben.ask("POST", "/gate", &[], &format!("token={token}")).status, 403);
    assert_eq!(anna.ask("POST", "/errors/999999", &[], &format!("token={token}&to=ignore")).status, 404);

    // A session that was ended shows nothing more.
    let listed = shop.roadbed(&["access", "list", "--json"]).expect(0).json();
    let bens = listed["sessions"].as_array().unwrap().iter().find(|one| one["user"] == "ben").unwrap()["id"].clone();
    shop.roadbed(&["access", "revoke", bens.as_str().unwrap()]).expect(0);
    assert_eq!(ben.ask("GET", "/errors", &[], "").status, 401);
    let nobody = shop.client().get(&format!("{}/", anna.home())).unwrap();
    assert_eq!(nobody.status, 401);

    // Pages that are open are told that something is new.
    let audit: Value = shop.roadbed(&["secrets", "audit", "--json"]).expect(0).json();
    assert!(audit.to_string().contains("signed-in"), "who came in is noted");
}
