//! An app that speaks HTTP/2 to the edge: deployed beside one that does not, switched to and back under visitors.

use std::thread;

use testkit::{Crowd, SendHomeOnDrop};

use crate::deployments::{let_visitors_in, reads};
use crate::stage::Stage;

/// As `reads`, over HTTP/2 alone; when it is told to go it says goodbye on each connection and finishes what it has.
fn reads_over_http_2(what: &str) -> String {
    format!(
        "const sessions = new Set();\n\
         const server = require(\"node:http2\").createServer((request, answer) =>\n\
           request.resume().on(\"end\", () => answer.end(`tiny {what} ${{request.httpVersion}}\\n`)));\n\
         server.on(\"session\", (session) => {{ sessions.add(session); session.on(\"close\", () => sessions.delete(session)); }});\n\
         server.listen(Number(process.env.PORT), \"127.0.0.1\");\n\
         process.on(\"SIGTERM\", () => {{ server.close(() => process.exit(0)); for (const session of sessions) session.close(); }});\n"
    )
}

#[test]
fn a_release_may_speak_http_2_and_the_one_before_not_and_switches_lose_no_request() {
    let stage = Stage::delivered();
    stage.deploy(&reads("one")).exits(0);
    stage.edit("kind = \"node\"", "kind = \"node\"\nprotocol = \"h2c\"");
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let _home = SendHomeOnDrop(&crowd);
        let_visitors_in(&crowd, scope, &stage, (4, 2), 30);
        stage.deploy(&reads_over_http_2("two")).exits(0).says(&["d2: r2 is live"]);
        assert_eq!(stage.visit(), ("tiny two 2.0".into(), "r2".into()));
        for _ in 0..3 {
            stage.roadbed("rollback").exits(0);
            assert_eq!(stage.visit(), ("tiny one".into(), "r1".into()));
            stage.roadbed("rollback").exits(0);
            assert_eq!(stage.visit(), ("tiny two 2.0".into(), "r2".into()));
        }
        // Both speak it.
        stage.deploy(&reads_over_http_2("three")).exits(0);
        stage.roadbed("restart web").exits(0);
        assert_eq!(stage.visit().0, "tiny three 2.0");
    });
    assert_eq!(crowd.failed(), Vec::<String>::new(), "{} requests", crowd.asked());
    assert!(crowd.asked() > 100, "{} requests", crowd.asked());
}
