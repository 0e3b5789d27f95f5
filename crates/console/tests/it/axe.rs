//! What axe-core finds on each page in a real browser: light and dark, on a desk and in a hand. Needs what `./setup` installs: npm, and
//! Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::USUAL;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Looks at a page when it stands, and says what is wrong with it to the document that shows it.
const LOOK: &str = r#"
axe.run(document, { resultTypes: ["violations"] }).then(
  (found) => found.violations.map((one) => `${one.id} (${one.impact}): ${one.nodes.map((node) => node.target).join(", ")}`),
  (error) => [`axe: ${error}`],
).then((wrong) => parent.postMessage({ axe: wrong }, "*"));
"#;

/// Shows each page in each size after the other, and writes down what they say. One document for all of them, since a browser needs
/// longer to start than to look.
const SHOW: &str = r#"
const frame = document.querySelector("iframe");
const rest = PAGES.flatMap((page) => [1440, 500].map((width) => ({ page, width })));
const wrong = [];
let seen = 0;
function next() {
  const shown = rest[0];
  if (shown === undefined) {
    const told = document.createElement("pre");
    told.id = "axe";
    told.textContent = JSON.stringify({ seen, wrong });
    document.body.append(told);
    return;
  }
  frame.style.width = `${shown.width}px`;
  frame.src = `${shown.page}.html`;
}
addEventListener("message", ({ data }) => {
  if (!Array.isArray(data?.axe)) return;
  const shown = rest.shift();
  seen += 1;
  wrong.push(...data.axe.map((what) => `${shown.page}, ${shown.width} wide: ${what}`));
  next();
});
next();
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
    let pages = USUAL.pages();
    for (name, page) in &pages {
        for path in page.split('"').filter(|text| text.starts_with("/assets/")) {
            let asset = web_console::assets::of(path).unwrap();
            fs::write(folder.join(path.trim_start_matches('/')), asset.text).unwrap();
        }
        let scripts =
            "<script src=\"node_modules/axe-core/axe.min.js\"></script><script src=\"look.js\"></script></body>";
        let page = page.replace("\"/assets/", "\"assets/").replace("</body>", scripts);
        fs::write(folder.join(format!("{name}.html")), &page).unwrap();
    }
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_ref()).collect();
    let show = format!(
        "<!doctype html><meta name=\"color-scheme\" content=\"light dark\"><title>All pages</title><body style=\"margin:0\"><iframe style=\"border:0;height:1000px\"></iframe>\
         <script>const PAGES = {};{SHOW}</script></body>",
        serde_json::to_string(&names).unwrap()
    );
    let all = folder.join("all.html");
    fs::write(&all, show).unwrap();
    for (theme, scheme) in [("dark", "0"), ("light", "1")] {
        let looked = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .arg(format!("--user-data-dir={}", folder.join(format!("profile-{theme}")).display()))
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .args(["--window-size=1440,1000", "--virtual-time-budget=100000", "--dump-dom"])
            .arg(format!("file://{}", all.display()))
            .output()
            .unwrap();
        let document = String::from_utf8_lossy(&looked.stdout).into_owned();
        let told = document.split("<pre id=\"axe\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        let told = told.unwrap_or_else(|| panic!("{theme}: axe did not come to its end: {document}"));
        assert_eq!(told, format!(r#"{{"seen":{},"wrong":[]}}"#, 2 * pages.len()), "{theme}");
    }
}
