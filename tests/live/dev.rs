//! `up --dev`: the apps' own development servers, behind the same names, certificates and stores.

use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::{Client, Environment, copy_repository, processes_of, wait_until};

use crate::stage;

/// A development server compiles when it is first asked.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_edit_shows_at_the_public_address_while_visitors_are_connected() {
    let _stage = stage::enter_alone();
    // On the file system of the packages, which are linked and not copied.
    let project = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy_repository(project.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    shop.up_with(&["--dev", "admin", "storefront", "api"]);
    let client = shop.client().patient_for(SEEN_WITHIN);
    it_is_told_that_development_servers_run_as_whoever_develops(&shop);

    admin_reloads_by_web_socket(&shop, &client, project.path());
    storefront_renders_what_was_edited(&shop, &client, project.path());
    api_starts_again_as_edited(&shop, &client, project.path());

    shop.down();
    // Development servers start processes of their own; these must go too.
    assert_eq!(processes_of(shop.root()), []);
}

/// They write where the sources are.
fn it_is_told_that_development_servers_run_as_whoever_develops(shop: &Environment) {
    let status = shop.status();
    for unit in status["units"].as_array().unwrap().iter().filter(|unit| unit["kind"] == "app") {
        let user = &unit["confinement"]["user"];
        assert_eq!(user["in_force"], false, "{unit}");
        assert!(user["detail"].as_str().unwrap().contains("a development server"), "{unit}");
    }
}

fn admin_reloads_by_web_socket(shop: &Environment, client: &Client, project: &Path) {
    let url = shop.url("admin");
    let page = client.get(&url).unwrap();
    assert!(page.status == 200 && page.body.contains("/@vite/client"), "{}: {}", page.status, page.body);
    // Public settings come from the edge here too.
    assert!(client.get(&format!("{url}/config.json")).unwrap().body.contains(&shop.url("api")));

    // As a browser does: the token that the page was given, and where the page came from.
    let vite = client.get(&format!("{url}/@vite/client")).unwrap().body;
    let token = vite.split_once("wsToken = \"").unwrap_or_else(|| panic!("no token in {vite}")).1;
    let token = token.split_once('"').unwrap().0;
    let headers = [("origin", url.as_str()), ("sec-websocket-protocol", "vite-hmr")];
    let mut socket = client.web_socket(&format!("{url}/?token={token}"), &headers).unwrap();
    assert_eq!(socket.next_text(SEEN_WITHIN).unwrap(), r#"{"type":"connected"}"#);

    for module in ["src/main.tsx", "src/app.tsx"] {
        assert_eq!(client.get(&format!("{url}/{module}")).unwrap().status, 200);
    }
    edit(&project.join("apps/admin/src/app.tsx"), "The admin is not configured", "Edited while you watched");
    let told = socket.next_text(SEEN_WITHIN).unwrap();
    assert!(told.contains("/src/app.tsx") && told.contains("update"), "{told}");
    sees(client, &format!("{url}/src/app.tsx"), "Edited while you watched");
}

fn storefront_renders_what_was_edited(shop: &Environment, client: &Client, project: &Path) {
    let url = shop.url("storefront");
    sees(client, &url, "Bicycle Bell");
    client.web_socket(&format!("{url}/_next/hmr?id=test"), &[("origin", url.as_str())]).unwrap();
    edit(
        &project.join("apps/storefront/src/app/page.tsx"),
        "for what the city wears out.",
        "edited while you watched.",
    );
    sees(client, &url, "edited while you watched.");
}

fn api_starts_again_as_edited(shop: &Environment, client: &Client, project: &Path) {
    let url = shop.url("api");
    sees(client, &format!("{url}/products"), "Bicycle Bell");
    edit(&project.join("apps/api/src/http/application.ts"), "there is nothing at", "edited while you watched");
    sees(client, &format!("{url}/nowhere"), "edited while you watched");
}

#[track_caller]
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} does not say {from:?} any more", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

#[track_caller]
fn sees(client: &Client, url: &str, words: &str) {
    wait_until(&format!("{url} says {words:?}"), SEEN_WITHIN, || {
        let answer = client.get(url)?;
        if answer.body.contains(words) { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.body)) }
    });
}
