//! Pages that answer 200 and are broken all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::stage::Stage;

const SERVER: &str = r#"
const page = (script) => `<!doctype html><link rel=icon href=data:,><h1>tiny</h1><script>${script}</script>`;
require("node:http").createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(page(request.url === "/cart" ? `console.log("${process.env.SESSION_SECRET}"); basket.add()` : ""));
}).listen(process.env.PORT, process.env.HOST);
"#;

#[test]
fn a_page_that_throws_fails_without_showing_secrets_and_a_missing_browser_is_told() {
    let stage = Stage::new();
    stage.server(SERVER);
    stage.edit(
        r#"smoke = [{ path = "/", contains = "tiny" }]"#,
        r#"smoke = [{ path = "/", render = true, text = ["tiny"] }, { path = "/cart", render = true }]"#,
    );
    stage.roadbed("smoke").refuses(1, &["no page was looked at", "roadbed up"]);
    stage.up();
    let answer = stage.roadbed("smoke").exits(1);
    let said = answer.out.join("\n");
    for part in [
        "holds",
        "web /cart",
        "threw an error that nothing caught: ReferenceError: basket is not defined",
        "1 of 2 pages hold",
    ] {
        assert!(said.contains(part), "lacks {part:?}: {said}");
    }
    let folder = stage.root.join("smoke");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let console = fs::read_to_string(folder.join("01-web--cart.console.txt")).unwrap();
    // What it logged is the secret, of which only the name is left.
    assert!(console.contains("SESSION_SECRET"), "{console}");

    stage
        .roadbed("smoke --browser /nowhere/chromium")
        .refuses(2, &["there is no browser /nowhere/chromium", "--browser"]);
    stage.roadbed("smoke nobody").refuses(2, &["nobody"]);
}
