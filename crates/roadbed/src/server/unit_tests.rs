use std::collections::BTreeMap;

use super::*;

fn wanted(home: &str) -> Wanted {
    let tools =
        BTreeMap::from([("PATH".to_owned(), "/usr/bin:/opt/50%/bin".to_owned()), ("HOME".to_owned(), home.to_owned())]);
    serde_json::from_value(serde_json::json!({
        "manifest": "/srv/shop/roadbed.toml", "text": "", "environment": "preview/pr-7", "product": "Shop", "dev": "none",
        "state": format!("{home}/.local/state/roadbed"), "config": null, "http_port": null, "https_port": null,
        "cache": "/var/cache/roadbed", "tools": tools,
    }))
    .unwrap()
}

#[test]
fn the_service_may_write_what_is_its_own_and_nothing_else() {
    let root = Root::new(PathBuf::from("/srv/shop/.roadbed"));
    let wanted = wanted("/var/lib/shop");
    let subject = Subject { root: &root, wanted: &wanted, user: None };
    assert_eq!(subject.name(), "roadbed-shop-preview-pr-7");
    let text = subject.service();
    for line in [
        "ExecStart=/srv/shop/.roadbed/programs/current/roadbed server run --root /srv/shop/.roadbed",
        "Environment=\"PATH=/usr/bin:/opt/50%%/bin\"",
        "Environment=\"XDG_STATE_HOME=/var/lib/shop/.local/state\"",
        "ProtectSystem=strict",
        "ReadWritePaths=-/srv/shop/.roadbed",
        "ReadWritePaths=-/var/cache/roadbed",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "KillMode=process",
        "Delegate=yes",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("User="));
    assert_eq!(subject.sysusers(), None);
    assert!(subject.tmpfiles().ends_with("d /srv/shop/.roadbed 0700 root root -\n"));
}

#[test]
fn a_user_of_its_own_has_one_right_of_root_s() {
    let root = Root::new(PathBuf::from("/home/shop/a folder/.roadbed"));
    let wanted = wanted("/home/shop");
    let subject = Subject { root: &root, wanted: &wanted, user: Some("shop") };
    let text = subject.service();
    for line in [
        "User=shop",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "ProtectHome=read-only",
        "ReadWritePaths=-\"/home/shop/a folder/.roadbed\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    assert!(subject.sysusers().unwrap().contains("\nu shop - \"Roadbed, preview/pr-7 of Shop\" /home/shop "));
    assert!(subject.tmpfiles().ends_with("d \"/home/shop/a folder/.roadbed\" 0700 shop shop -\n"));
}

#[test]
fn what_lies_in_tmp_can_be_seen() {
    let root = Root::new(PathBuf::from("/tmp/shop/.roadbed"));
    let wanted = wanted("/var/lib/shop");
    assert!(!Subject { root: &root, wanted: &wanted, user: None }.service().contains("PrivateTmp"));
}
