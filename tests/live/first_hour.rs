//! What a new user does in the first hour.

use crate::stage;

#[test]
fn one_command_ends_with_a_gate_that_holds() {
    let _stage = stage::enter();
    let shop = stage::urbancart();
    let up = shop.up();
    eprintln!("{}\n{}", up.stdout, up.stderr);
    eprintln!("{:#}", shop.status());
    eprintln!("{:#}", shop.ready(&[]));
    let client = shop.client();
    eprintln!("{:?}", client.get(&(shop.url("api") + "/products")).unwrap());
    eprintln!("{:?}", shop.keeper_pid());
    eprintln!("{:?}", testkit::processes_of(shop.root()));
    shop.down();
    assert_eq!(testkit::processes_of(shop.root()), []);
}
