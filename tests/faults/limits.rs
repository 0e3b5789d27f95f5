//! How often visitors may ask, with the smallest product: what the manifest says is what happens, `ready` proves it, and `explain` says why.

use std::fs;

use edge::client::EdgeClient;
use reconcile::Root;
use reconcile::ports::Routes;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::stage::Stage;

const LIMITS: &str = r#"
[rate_limits.default]
rate = "50/s"
burst = 300

[rate_limits.auth]
rate = "1/m"
burst = 5
routes = [{ app = "web", methods = ["POST"], path = "/login" }]
"#;

const CHECKS: [&str; 2] = ["bursts-are-throttled", "accounts-and-money-are-guarded-more"];

impl Stage {
    /// The verdict on a check of the gate, and all that was seen.
    fn verdict(&self, id: &str) -> (String, String) {
        let answer = self.roadbed(&format!("ready --json --only {id}"));
        let report: Value = serde_json::from_str(&answer.out.join("\n")).unwrap_or_else(|_| panic!("{:?}", answer.err));
        let check = &report["checks"][0];
        (check["verdict"].as_str().unwrap_or_default().to_owned(), check.to_string())
    }
}

#[test]
fn what_the_manifest_allows_is_what_visitors_may() {
    let stage = Stage::new();
    let manifest = fs::read_to_string(stage.project.join("roadbed.toml")).unwrap();
    stage.write("roadbed.toml", &(manifest + LIMITS));
    stage.up();
    for id in CHECKS {
        let (verdict, told) = stage.verdict(id);
        assert_eq!(verdict, "holds", "{told}");
        assert!(told.contains("auth"), "{told}");
    }

    // The check has spent nothing of ours.
    let (client, login) = (stage.client(), format!("{}/login", stage.url().trim_end_matches('/')));
    let post = || client.post(&login, &[], "").unwrap();
    for _ in 0..5 {
        assert_ne!(post().status, 429);
    }
    let refused = post();
    assert_eq!((refused.status, refused.headers["ratelimit-policy"].as_str()), (429, "\"auth\";q=5;w=300"));
    let id = &refused.headers["x-request-id"];
    stage.until("the log has it", || stage.roadbed(&format!("explain {id}")).code == Some(0));
    let told = stage.roadbed(&format!("explain {id}")).out.join("\n");
    assert!(told.contains("was answered 429, by the edge for web") && told.contains("limit auth: "), "{told}");
    assert_eq!(stage.roadbed("explain 01a05c3e-0000-7000-8000-000000000000").code, Some(1));

    // An edge that limits nothing is seen by both.
    let edge = EdgeClient::new(Root::new(stage.root.clone()));
    Runtime::new().unwrap().block_on(async {
        let mut table = edge.current().await.unwrap().unwrap();
        table.rate_limits = None;
        edge.publish(table).await.unwrap();
    });
    for (id, because) in CHECKS.into_iter().zip(["requests at once were let in", "the edge knows no limit of auth"]) {
        let (verdict, told) = stage.verdict(id);
        assert_eq!(verdict, "fails", "{told}");
        assert!(told.contains(because), "{told}");
    }
    stage.up();
    assert_eq!(stage.verdict(CHECKS[1]).0, "holds");
}
