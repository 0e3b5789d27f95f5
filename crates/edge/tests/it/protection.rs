//! Sites that are not for everybody.

use reconcile::ports::{Site, SiteAccess};

use crate::app::App;
use crate::visitor::get;
use crate::world::{SHOP, World, shop};

#[tokio::test]
async fn a_protected_site_shows_itself_to_who_knows_the_password_only() {
    let app = App::saying("admin").await;
    let world = World::new().await;
    let file = world.root.path().join("credentials");
    // SHA-256 of "open sesame".
    std::fs::write(&file, "ali:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n").unwrap();
    let protected = || Site {
        access: SiteAccess::Protected { credentials_file: file.clone(), sign_in: None },
        config: Some([("A".to_owned(), "b".to_owned())].into()),
        ..shop(app.port)
    };
    world.publish(vec![protected()]).await;
    for lines in ["", "Authorization: Basic YWxpOndyb25n\r\n", "Authorization: Bearer YWxpOm9wZW4gc2VzYW1l\r\n"] {
        for path in ["/", "/config.json"] {
            let reply = get(&world, SHOP, path, lines).await;
            assert_eq!(reply.status, 401, "{path} {lines}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Basic"));
        }
    }
    let right = "Authorization: Basic YWxpOm9wZW4gc2VzYW1l\r\n";
    assert_eq!(get(&world, SHOP, "/", right).await.text(), "admin");

    // A new password counts as soon as the routes are published again, though the table is the same.
    std::fs::write(&file, format!("ali:{}\n", "0".repeat(64))).unwrap();
    world.publish(vec![protected()]).await;
    assert_eq!(get(&world, SHOP, "/", right).await.status, 401);

    // A file that is gone opens nothing, and changes nothing.
    std::fs::remove_file(&file).unwrap();
    let fault = world.try_publish(world.table(vec![protected()])).await.unwrap_err();
    assert!(fault.causes.iter().any(|cause| cause.contains("cannot protect")), "{fault:?}");
    assert_eq!(get(&world, SHOP, "/", right).await.status, 401);
}
