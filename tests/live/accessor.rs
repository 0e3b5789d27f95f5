//! The accessor that `roadbed env types` writes is held to the same table as Roadbed's own rules.

use std::fs;
use std::time::Duration;

use testkit::{repository, run};

use crate::stage;

/// Loading TypeScript takes two seconds of an idle core.
const DEADLINE: Duration = Duration::from_secs(120);

/// Compiles the module and has it read each value of the table; prints what it takes otherwise than the table says.
const SCRIPT: &str = r#"
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
const [repository, folder] = process.argv.slice(2);
const typescript = createRequire(`${repository}/package.json`)("typescript");
const source = readFileSync(`${folder}/environment.ts`, "utf8");
const { outputText } = typescript.transpileModule(source, { compilerOptions: { module: "ESNext", target: "ES2023" } });
writeFileSync(`${folder}/environment.mjs`, outputText);
const { readEnvironment } = await import(`${folder}/environment.mjs`);
const given = { HOST: "127.0.0.1", PORT: "1", ROADBED_ENVIRONMENT: "local", ROADBED_RELEASE: "r", ROADBED_INSTANCE: "api-1",
  ROADBED_KEEP_ALIVE_MS: "1", ROADBED_DRAIN_MS: "1", PUBLIC_URL: "https://a.example" };
let cases = 0;
const holds = (name, text) => {
  cases += 1;
  try { return readEnvironment({ ...given, [name]: text })[name] !== undefined; } catch { return false; }
};
for (const [type, { good, bad }] of Object.entries(JSON.parse(readFileSync(`${repository}/crates/manifest/tests/values.json`, "utf8")))) {
  for (const text of good) if (!holds(`OF_${type.toUpperCase()}`, text)) console.log(`${type} refuses ${JSON.stringify(text)}`);
  for (const text of bad) if (holds(`OF_${type.toUpperCase()}`, text)) console.log(`${type} takes ${JSON.stringify(text)}`);
}
// What depends on the environment, and what must match.
const read = (more) => { try { return readEnvironment({ ...given, ...more }); } catch (error) { return error.faults.join("; "); } };
console.log(read({ KEY: "live_x" }).KEY, "|", read({ ROADBED_ENVIRONMENT: "preview", KEY: "live_x" }), "|",
  read({ ROADBED_ENVIRONMENT: "preview" }), "|", read({ OF_DURATION: "2m", OF_BYTES: "1 KiB" }).OF_DURATION);
writeFileSync(`${folder}/secret`, "live_from_a_file");
console.log(read({ FILED_FILE: `${folder}/secret` }).FILED, "|", read({ FILED_FILE: `${folder}/none` }));
console.log(`${cases} cases`);
"#;

#[test]
fn roadbed_and_the_generated_accessor_take_the_same_values() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    // Installs the packages, TypeScript among them.
    shop.up_with(&["--no-gate"]);
    shop.down();
    let table: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(repository().join("crates/manifest/tests/values.json")).unwrap())
            .unwrap();
    let mut manifest = fs::read_to_string(repository().join("tests/cli/sound.toml")).unwrap();
    let mut declare = |name: &str, keys: &str| {
        manifest += &format!(
            "\n[variables.{name}]\ndescription = \"x\"\napps = [\"api\"]\nclass = \"secret\"\nowner = \"team\"\n\
             source = \"generated\"\n{keys}\n"
        );
    };
    for value_type in table.as_object().unwrap().keys() {
        let choices = if value_type == "enum" { "choices = [\"debug\", \"info\"]" } else { "" };
        let name = format!("OF_{}", value_type.to_uppercase());
        declare(&name, &format!("required = \"never\"\ntype = \"{value_type}\"\n{choices}"));
    }
    declare("KEY", "required = [\"preview\"]\nmatch = \"live_.*\"\nin.preview.match = \"test_[a-z]+\"");
    declare("FILED", "required = \"never\"\ndeliver = \"file\"");
    let folder = shop.scratch().join("accessor");
    fs::create_dir_all(folder.join("apps/api")).unwrap();
    fs::create_dir_all(folder.join("apps/web")).unwrap();
    // The sound manifest requires what this test is not about.
    let manifest = manifest.replace("value = \"${service.", "required = \"never\"\nvalue = \"${service.");
    fs::write(folder.join("roadbed.toml"), manifest).unwrap();
    let manifest_file = folder.join("roadbed.toml").display().to_string();
    let printed = shop.roadbed(&["env", "types", "api", "--manifest", &manifest_file]).expect(0);
    fs::write(folder.join("environment.ts"), printed.stdout).unwrap();
    fs::write(folder.join("held.mjs"), SCRIPT).unwrap();
    let node = host::process::find_in_path("node", &shop.variables()["PATH"]).expect("node is in PATH");
    let (script, place) = (folder.join("held.mjs").display().to_string(), folder.display().to_string());
    let ran = run(&node, &[&script, &repository().display().to_string(), &place], &folder, shop.variables(), DEADLINE);
    let lines: Vec<String> = ran.expect(0).stdout.lines().map(str::to_owned).collect();
    assert_eq!(
        lines[lines.len().saturating_sub(3)..lines.len() - 1],
        [
            "live_x | KEY must be a text of the form that this environment wants | KEY is not set | 120000",
            "live_from_a_file | FILED_FILE cannot be read"
        ],
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[2].split(' ').next().unwrap().parse::<usize>().unwrap() > 60, "{}", lines[2]);
}
