//! The pages of the shop in a browser, and what is said when one is broken.

use std::fs;

use serde_json::Value;
use testkit::{Environment, link_repository};

use crate::stage;

#[test]
fn pages_hold_as_a_customer_sees_them_and_one_that_lacks_a_text_is_told_with_its_picture() {
    let _stage = stage::enter();
    // Its manifest is edited below: a copy's, and not that of this checkout.
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    shop.up_with(&["--no-gate"]);
    let keep = shop.scratch().join("pages");
    let keep_flag = keep.display().to_string();

    let ran = shop.roadbed(&["smoke", "--json", "--keep", &keep_flag]);
    let report: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!((ran.code, &report["holds"]), (0, &Value::Bool(true)), "{report:#}");
    let rendered: Vec<&Value> =
        report["pages"].as_array().unwrap().iter().filter(|page| page["screenshot"].is_string()).collect();
    assert_eq!(rendered.len(), 3, "{report:#}");
    for page in rendered {
        assert!(fs::read(page["screenshot"].as_str().unwrap()).unwrap().starts_with(b"\x89PNG"));
    }

    // HTTP alone would let this pass: the text is only there, or not, once the page is rendered.
    let manifest = shop.project().join("roadbed.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(r#"text = ["Bicycle Bell"]"#, r#"text = ["Bicycle Gong"]"#)).unwrap();
    shop.up_with(&["--no-gate"]);
    let ran = shop.roadbed(&["smoke", "storefront"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in
        ["✗ fails", "storefront /", r#"does not show "Bicycle Gong" once rendered"#, ".png", "1 of 2 pages hold"]
    {
        assert!(ran.stdout.contains(part), "lacks {part}: {ran:?}");
    }
    assert!(fs::read_dir(shop.root().join("smoke")).unwrap().count() >= 4, "pictures and consoles of both pages");
}
