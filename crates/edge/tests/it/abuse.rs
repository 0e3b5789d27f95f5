//! Visitors who are up to no good, over real sockets: as clients behind a proxy, since nothing is concluded of this machine.

use edge::abuse::lists::{Listed, Verdict};
use edge::abuse::top::By;
use edge::{Admission, AskedTop};
use reconcile::abuse::{Abuse, Challenge, Scanners};
use reconcile::ports::{Proxies, RouteTable, Site};

use crate::app::App;
use crate::visitor::{Reply, get};
use crate::world::{SHOP, World, folder_site, shop};

const STRANGER: &str = "203.0.113.7";

fn abuse(enforce: bool) -> Abuse {
    Abuse {
        enforce,
        scanners: Some(Scanners {
            after: 3,
            keep_out_ms: 3_600_000,
            honeypot: Some("/private-offers/".into()),
            except: Vec::new(),
        }),
        crawlers: true,
        crawler_rate: None,
        fingerprints: true,
        challenges: vec![Challenge { app: "shop".into(), path: "/search".into(), bits: 8 }],
    }
}

async fn publish(world: &World, sites: Vec<Site>, abuse: Option<Abuse>) {
    let proxies = Proxies { networks: vec!["127.0.0.0/8".into()], announce: false };
    world.try_publish(RouteTable { proxies, abuse, ..world.table(sites) }).await.unwrap();
}

async fn behind(abuse: Option<Abuse>) -> (World, App) {
    let app = App::saying("shop").await;
    let world = World::new().await;
    publish(&world, vec![shop(app.port)], abuse).await;
    (world, app)
}

async fn ask(world: &World, client: &str, path: &str, lines: &str) -> Reply {
    get(world, SHOP, path, &format!("X-Forwarded-For: {client}\r\nAccept: text/html\r\n{lines}")).await
}

fn listed(network: &str, verdict: Verdict, reason: &str) -> Listed {
    Listed { network: network.into(), verdict, until_ms: None, reason: reason.into() }
}

#[tokio::test]
async fn a_network_is_kept_out_at_once_and_by_the_next_edge_and_this_machine_never() {
    let (mut world, _app) = behind(None).await;
    assert_eq!(ask(&world, STRANGER, "/", "").await.status, 200);
    let lists = vec![
        listed("203.0.113.0/24", Verdict::Block, "credential stuffing"),
        listed("203.0.113.9", Verdict::Allow, "the office"),
        listed("198.51.100.0/24", Verdict::ShadowBlock, "would it hit customers?"),
        listed("127.0.0.0/8", Verdict::Block, "by accident"),
    ];
    world.edge.admit(&Admission { lists, ..Admission::default() }).await.unwrap();
    let refused = ask(&world, STRANGER, "/", "").await;
    assert_eq!((refused.status, refused.header("x-robots-tag")), (403, Some("noindex, nofollow")));
    world.stop().await;
    world.start().await;
    assert_eq!(ask(&world, STRANGER, "/", "").await.status, 403);
    assert_eq!(ask(&world, "203.0.113.9", "/", "").await.status, 200);
    assert_eq!(ask(&world, "198.51.100.1", "/", "").await.status, 200);
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200, "this machine");
    let log = world.log(|lines| lines.len() == 6).await;
    assert_eq!(log[1]["error"], "blocked");
    assert_eq!(log[1]["abuse"]["about"], "203.0.113.0/24: credential stuffing");
    assert_eq!(log[4]["abuse"]["outcome"], "would-refuse");
}

#[tokio::test]
async fn who_asks_for_what_only_scanners_ask_for_is_out_for_a_while_and_others_are_not() {
    let (world, _app) = behind(Some(abuse(true))).await;
    for (path, status) in [("/.env", 200), ("/private-offers/1", 200), ("/", 200), ("/wp-login.php", 403), ("/", 403)] {
        assert_eq!(ask(&world, STRANGER, path, "").await.status, status, "{path}");
    }
    assert_eq!(ask(&world, "203.0.113.8", "/", "").await.status, 200);
    // A crawler that nobody has verified is a usual visitor.
    let google = "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)\r\n";
    assert_eq!(ask(&world, "192.0.2.1", "/", google).await.status, 200);
    for _ in 0..9 {
        assert_eq!(get(&world, SHOP, "/.env", "").await.status, 200, "this machine may look");
    }
    let log = world.log(|lines| lines.len() == 16).await;
    let rules: Vec<_> = log.iter().take(5).map(|line| line["abuse"]["rule"].as_str().unwrap_or("-")).collect();
    assert_eq!(rules, ["scanner-path", "honeypot", "-", "scanner-path", "kept-out"]);
    assert_eq!(log[4]["error"], "scanner");
    assert_eq!(log[0]["fingerprint"], log[1]["fingerprint"]);
    assert_eq!(log[0]["fingerprint"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn in_shadow_everybody_is_let_in_and_the_log_says_who_would_not_be() {
    let (world, _app) = behind(Some(abuse(false))).await;
    for path in ["/.env", "/.git/config", "/wp-login.php", "/", "/search"] {
        assert_eq!(ask(&world, STRANGER, path, "").await.status, 200, "{path}");
    }
    let log = world.log(|lines| lines.len() == 5).await;
    assert!(log.iter().all(|line| line["abuse"]["outcome"] == "would-refuse"), "{log:?}");
    assert_eq!((&log[3]["abuse"]["rule"], &log[4]["abuse"]["rule"]), (&"kept-out".into(), &"challenge".into()));
}

#[tokio::test]
async fn robots_are_told_of_the_honeypot_whatever_the_site_says() {
    let (world, app) = behind(Some(abuse(true))).await;
    let folder = world.root.path().join("site");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "<p>shop</p>").unwrap();
    publish(&world, vec![folder_site(&folder)], Some(abuse(true))).await;
    let ours = "User-agent: *\nDisallow: /private-offers/\n";
    assert_eq!(ask(&world, STRANGER, "/robots.txt", "").await.text(), ours, "a site whose page answers every path");
    std::fs::write(folder.join("robots.txt"), "User-agent: *\nDisallow: /cart\n").unwrap();
    let told = ask(&world, STRANGER, "/robots.txt", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(told.text(), format!("User-agent: *\nDisallow: /cart\n\n\n{ours}"));
    assert_eq!(told.header("content-length"), Some(told.body.len().to_string().as_str()));
    publish(&world, vec![shop(app.port)], None).await;
    assert_eq!(ask(&world, STRANGER, "/robots.txt", "").await.text(), "shop", "without a honeypot nothing is added");
}

#[tokio::test]
async fn a_page_that_takes_work_gives_a_task_and_who_did_it_comes_in() {
    let (world, _app) = behind(Some(abuse(true))).await;
    let page = ask(&world, STRANGER, "/search?q=a", "").await;
    assert_eq!((page.status, page.header("cache-control")), (403, Some("no-store")));
    assert!(page.text().contains("<noscript><meta http-equiv=\"refresh\""));
    let task = page.text().split("data-task=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let solved = |n: &u32| sha2_begins_with_zero(&format!("{task}.{n}"));
    let number = (0..).find(solved).unwrap();
    let path = format!("/.roadbed/proof?task={task}&n={number}&to=%2Fsearch%3Fq%3Da");
    assert!(ask(&world, "203.0.113.8", &path, "").await.header("set-cookie").is_none(), "another's task");
    let done = ask(&world, STRANGER, &path, "").await;
    assert_eq!((done.status, done.header("location")), (303, Some("/search?q=a")));
    let pass = done.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(ask(&world, STRANGER, "/search?q=a", &format!("Cookie: {pass}\r\n")).await.text(), "shop");
    assert_eq!(ask(&world, "203.0.113.8", "/search", &format!("Cookie: {pass}\r\n")).await.status, 403);
    // Other pages take none, nor does this machine.
    assert_eq!(ask(&world, STRANGER, "/", "").await.status, 200);
    assert_eq!(get(&world, SHOP, "/search", "").await.status, 200);
}

fn sha2_begins_with_zero(text: &str) -> bool {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref()[0] == 0
}

#[tokio::test]
async fn who_asks_most_is_known_without_reading_a_log() {
    let (world, _app) = behind(None).await;
    for _ in 0..4 {
        ask(&world, STRANGER, "/products?page=1", "").await;
    }
    ask(&world, "198.51.100.1", "/", "").await;
    world.log(|lines| lines.len() == 5).await;
    let top = async |by| world.edge.top(AskedTop { by, count: 1 }).await.unwrap().remove(0);
    let client = top(By::Client).await;
    assert_eq!((client.key.as_str(), client.requests, client.error), (STRANGER, 4, 0));
    assert_eq!(top(By::Path).await.key, "shop /products", "without what was searched for");
    assert_eq!(top(By::Status).await.key, "200");
    assert_eq!(top(By::App).await.requests, 5);
}
