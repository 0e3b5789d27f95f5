//! A change of data on a real MongoDB: by a program with the app's own user, password, certificates and reach, and nothing more.

use std::fs;

use testkit::{Environment, link_repository};

use crate::stage;

/// Says in the shop that the bell rings twice, and may not look at anybody's users.
const PROGRAM: &str = "const { MongoClient } = require('mongodb'); \
    const client = new MongoClient(process.env.MONGODB_URL, { tlsCAFile: process.env.SERVICES_CA_FILE }); \
    const change = async () => { \
      const products = client.db().collection('products'); \
      const found = await products.updateMany({ slug: 'bicycle-bell' }, { $set: { summary: 'Rings twice' } }); \
      const denied = await client.db('admin').command({ usersInfo: 1 }).then(() => 'allowed', (error) => error.codeName); \
      console.log(`changed ${found.modifiedCount}, users: ${denied}`); \
      process.exit(found.modifiedCount === 1 && denied === 'Unauthorized' ? 0 : 1); \
    }; \
    change();";

#[test]
fn a_program_changes_the_apps_data_with_the_apps_own_rights() {
    let _stage = stage::enter();
    let project = tempfile::tempdir().unwrap();
    link_repository(project.path());
    let shop = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
    shop.up_with(&["--no-gate"]);
    let page = format!("{}/products/bicycle-bell", shop.url("api"));
    assert!(!shop.client().get(&page).unwrap().body.contains("Rings twice"));

    let path = project.path().join("roadbed.toml");
    let text = fs::read_to_string(&path).unwrap();
    let own = "kind = \"node\"\nhosts = [\"api\"]\n";
    assert!(text.contains(own), "the manifest has another api");
    let migrations =
        format!("migrations = [{{ name = \"0001-rings-twice\", run = [\"node\", \"-e\", {PROGRAM:?}] }}]\n");
    fs::write(&path, text.replace(own, &format!("{own}{migrations}"))).unwrap();
    let planned = shop.roadbed(&["plan"]).expect(0).stdout;
    assert!(planned.contains("change data: 0001-rings-twice"), "{planned}");
    shop.up_with(&["--no-gate"]);
    assert!(shop.client().get(&page).unwrap().body.contains("Rings twice"));
    let log = shop.log("api-migrate");
    assert!(log.contains("changed 1, users: Unauthorized"), "{log}");
    let again = shop.roadbed(&["plan"]).expect(0).stdout;
    assert!(!again.contains("0001-rings-twice"), "{again}");
}
