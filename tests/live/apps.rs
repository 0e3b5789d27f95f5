//! The apps' own suites, with the packages that `up` installs.

use std::time::Duration;

use testkit::{repository, run};

use crate::stage;

/// Each took under 30 s on two idle cores.
const DEADLINE: Duration = Duration::from_secs(300);

#[test]
fn lint_types_and_tests_of_all_apps_pass() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    shop.up_with(&["--no-gate"]);
    shop.down();
    let variables = shop.variables();
    let npm = host::process::find_in_path("npm", &variables["PATH"]).expect("npm is in PATH");
    for script in ["lint", "typecheck", "test"] {
        let ran = run(&npm, &["run", script], &repository(), variables, DEADLINE).expect(0);
        for app in ["admin", "api", "storefront"] {
            // A workspace that is not named was not run at all.
            let named = format!("> @urbancart/{app}@");
            assert!(ran.stdout.contains(&named), "`npm run {script}` did not come to {app}:\n{}", ran.stdout);
        }
    }
}
