//! The console and deployments: who signs in, who goes back, and whose word is an approval.

use testkit::Person;
use testkit::person::field;

use crate::deployments::{key, says};
use crate::stage::Stage;

impl Stage {
    fn console_link(&self) -> String {
        self.json("console --json")["url"].as_str().unwrap().to_owned()
    }

    /// From now on the one at the keyboard is known by this key.
    fn signs_in(&self, path: &str) {
        self.roadbed(&format!("login --key {path}")).exits(0);
    }
}

#[test]
fn people_go_back_and_approve_at_the_console_each_as_far_as_they_may() {
    let stage = Stage::with_rollout("verify = \"1s\", keep_warm = \"1h\"");
    let ((ann_key, ann), (bob_key, bob)) = (key(&stage, "ann"), key(&stage, "bob"));
    stage.edit(
        "[branches]",
        &format!("[people.ann]\nssh = [\"{ann}\"]\n\n[people.bob]\nssh = [\"{bob}\"]\n\n[branches]"),
    );
    stage.edit("rollout = {", "console = {}\nrollout = {");
    stage.deploy(&says("one")).exits(0);
    stage.deploy(&says("two")).exits(0).says(&["d2: r2 is live"]);

    // A link lets one browser in, once.
    let link = stage.console_link();
    let mut operator = Person::by_link(stage.client(), &link);
    let second = Person::at(stage.client(), &link).ask("GET", &link[operator.home().len()..], &[], "");
    let mut stranger = Person::at(stage.client(), &link);
    let refused = if second.status == 200 { stranger.enter(&link) } else { second };
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert_eq!(stranger.ask("GET", "/deployments", &[], "").status, 401);

    // Back, by a page that says what would happen and a form that no other page can send.
    let page = operator.sees("/releases/r1/rollback", &["Go back to r1"]);
    let token = field(&page, "token").unwrap();
    assert_eq!(operator.ask("POST", "/rollback", &[], "to=r1").status, 403);
    assert_eq!(
        operator.ask("POST", "/rollback", &[("sec-fetch-site", "cross-site")], &format!("token={token}&to=r1")).status,
        403
    );
    let nowhere = operator.ask("POST", "/rollback", &[], &format!("token={token}&to=r9"));
    assert!(nowhere.status >= 400 && nowhere.body.contains("no release r9"), "{nowhere:?}");
    assert_eq!(stage.visit().0, "tiny two");
    let back = operator.ask("POST", "/rollback", &[], &format!("token={token}&to=r1"));
    assert_eq!((back.status, back.headers["location"].as_str()), (303, "/deployments/d3"), "{back:?}");
    stage.until("visitors get the release before", || stage.visit().0 == "tiny one");
    operator.sees("/deployments", &["d3", "rollback"]);

    // Ann deploys what somebody else has to approve of.
    stage.edit("rollout = { ", "rollout = { approvals = 1, ");
    stage.up();
    stage.signs_in(&ann_key);
    stage.server(&says("three"));
    let waits = stage.begin("deploy");
    stage.until("it waits for approval", || stage.newest() == "awaiting-approval");
    let page = "/deployments/d4";
    let approve = format!("{page}/approve");
    let shown = operator.see(page);
    assert!(!shown.contains(&approve), "nobody knows who this is: there is no button");
    let (token, digest) = (operator.form_token(page), "0".repeat(64));
    let word = |token: &str, digest: &str| format!("token={token}&digest={digest}");
    assert_eq!(operator.ask("POST", &approve, &[], &word(&token, &digest)).status, 403);
    let mut of_ann = Person::by_link(stage.client(), &stage.console_link());
    let shown = of_ann.see(page);
    let (token, digest) = (field(&shown, "token").unwrap(), field(&shown, "digest").unwrap());
    let own = of_ann.ask("POST", &approve, &[], &word(&token, &digest));
    assert!(own.status >= 400 && own.body.contains("nobody approves of their own"), "{own:?}");

    stage.signs_in(&bob_key);
    let mut of_bob = Person::by_link(stage.client(), &stage.console_link());
    let token = of_bob.form_token(page);
    let other = of_bob.ask("POST", &approve, &[], &word(&token, &"0".repeat(64)));
    assert!(other.status >= 400 && other.body.contains("another release by now"), "{other:?}");
    assert_eq!(stage.newest(), "awaiting-approval");
    let yes = of_bob.ask("POST", &approve, &[], &word(&token, &digest));
    assert_eq!((yes.status, yes.headers["location"].as_str()), (303, page), "{yes:?}");
    waits.end().exits(0).says(&["approved by bob"]);
    assert_eq!(stage.visit().0, "tiny three");
    of_bob.sees(page, &["bob"]);
    let noted = stage.roadbed("secrets audit --json").exits(0).out.join("\n");
    assert!(noted.contains("approve d4") && noted.contains("roll-back to r1"), "{noted}");
}
