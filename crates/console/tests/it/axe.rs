//! What axe-core finds on each page in a real browser: light and dark, on a desk and in a hand. Needs what `./setup` installs: npm, and
//! Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::USUAL;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Looks at the page when it stands, and writes down what is wrong with it.
const LOOK: &str = r#"
axe.run(document, { resultTypes: ["violations"] }).then((found) => {
  const told = document.createElement("pre");
  told.id = "axe";
  told.textContent = found.violations.map((one) => `${one.id} (${one.impact}): ${one.nodes.map((node) => node.target).join(", ")}`).join("; ");
  document.body.append(told);
});
"#;

#[test]
fn axe_finds_nothing_on_any_page() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe");
    fs::create_dir_all(folder.join("assets")).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axe").join(file), folder.join(file)).unwrap();
    }
    let axe = folder.join("node_modules/axe-core/axe.min.js");
    if !axe.exists() {
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    }
    fs::write(folder.join("look.js"), LOOK).unwrap();
    let browser = BROWSERS.iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let browser = browser.expect("there is no browser in PATH; ./setup installs one");
    let mut wrong = Vec::new();
    for (name, page) in USUAL.pages() {
        for path in page.split('"').filter(|text| text.starts_with("/assets/")) {
            let asset = web_console::assets::of(path).unwrap();
            fs::write(folder.join(path.trim_start_matches('/')), asset.text).unwrap();
        }
        let scripts =
            "<script src=\"node_modules/axe-core/axe.min.js\"></script><script src=\"look.js\"></script></body>";
        let page = page.replace("\"/assets/", "\"assets/").replace("</body>", scripts);
        let file = folder.join(format!("{name}.html"));
        fs::write(&file, page).unwrap();
        for theme in ["--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"] {
            for size in ["--window-size=1440,1000", "--window-size=500,1000"] {
                let looked = Command::new(browser)
                    .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
                    .arg(format!("--user-data-dir={}", folder.join("profile").display()))
                    .args(["--virtual-time-budget=8000", theme, size, "--dump-dom"])
                    .arg(format!("file://{}", file.display()))
                    .output()
                    .unwrap();
                let document = String::from_utf8_lossy(&looked.stdout).into_owned();
                let told = document.split("<pre id=\"axe\">").nth(1).and_then(|rest| rest.split("</pre>").next());
                match told {
                    Some("") => {}
                    Some(found) => wrong.push(format!("{name} {theme} {size}: {found}")),
                    None => wrong.push(format!("{name} {theme} {size}: axe did not come to its end")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
