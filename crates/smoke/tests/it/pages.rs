//! What is said about good pages and bad ones.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use smoke::{Header, Page, Rendering, Seen, Verdict};

use crate::site::{Site, only, run, text};

#[tokio::test]
async fn a_good_page_holds_with_its_picture_and_its_console() {
    for site in [Site::plain().await, Site::tls().await] {
        let page = Page {
            contains: Some("Loading".into()),
            headers: vec![Header { name: "x-release".into(), value: "r1".into() }],
            // White space is as it is rendered, and the text came after the page.
            rendering: Some(Rendering {
                seen: vec![text("UrbanCart is open"), Seen::Element("#title".into())],
                ..Rendering::default()
            }),
            ..site.page("/")
        };
        let report = run(&site.plan(vec![page])).await.unwrap();
        let (page, said) = only(&report);
        assert_eq!((page.verdict, said), (Verdict::Holds, Vec::<String>::new()));
        assert!(report.holds() && report.browser.as_ref().unwrap().contains("Chrom"), "{report:?}");
        let picture = page.screenshot.as_ref().unwrap();
        assert!(host::files::read(picture).unwrap().starts_with(b"\x89PNG"));
        for path in [picture, page.console.as_ref().unwrap()] {
            assert_eq!(host::files::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(host::files::metadata(&site.evidence()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(site.profiles().is_empty(), "{:?}", site.profiles());
    }
}

/// Path, what is done to the page that is expected, and what must be said, to the letter or as a part.
type Case = (&'static str, fn(&mut Page), &'static [&'static str]);

fn shows(page: &mut Page, seen: Seen) {
    page.rendering.as_mut().unwrap().seen.push(seen);
}

#[tokio::test]
async fn each_bad_page_fails_with_its_own_words() {
    const CASES: &[Case] = &[
        ("/throws", |_| (), &["threw an error that nothing caught: Error: cart is undefined (secret)"]),
        ("/rejects", |_| (), &["threw an error that nothing caught: Error: nobody waits"]),
        ("/errors", |_| (), &["wrote an error on the console: known: analytics"]),
        (
            "/picture",
            |_| (),
            &["lacks a picture: http://shop.example:", "asked its own host in vain: http://shop.example:"],
        ),
        ("/script", |_| (), &["/gone.js: answered 404"]),
        ("/", |page| shows(page, text("Sold out")), &["does not show \"Sold out\" once rendered"]),
        ("/", |page| shows(page, text("Hidden text")), &["does not show \"Hidden text\" once rendered"]),
        ("/", |page| shows(page, Seen::Element("#hidden".into())), &["shows no element #hidden once rendered"]),
        ("/", |page| shows(page, Seen::Element("][".into())), &["shows no element ][ once rendered"]),
        ("/", |page| page.contains = Some("Welcome".into()), &["does not contain \"Welcome\""]),
        ("/", |page| page.status = 201, &["answered 200 and not 201"]),
        (
            "/",
            |page| page.headers = vec![Header { name: "x-release".into(), value: "r2".into() }],
            &["has the header x-release with \"r1\" and not \"r2\""],
        ),
        (
            "/",
            |page| page.headers = vec![Header { name: "x-other".into(), value: "r2".into() }],
            &["has no header x-other, which must be \"r2\""],
        ),
        ("/broken", |_| (), &["answered 500 and not 200"]),
        ("/goes", |_| (), &["leads to another host: https://other.example/login"]),
        (
            "/redirects",
            |_| (),
            &[
                "answered 302 and not 200, and leads to https://other.example/",
                "leads to another host: https://other.example/",
            ],
        ),
    ];
    let site = Site::plain().await;
    let pages = CASES.iter().map(|(path, change, _)| {
        let mut page = site.page(path);
        change(&mut page);
        page
    });
    let report = run(&site.plan(pages.collect())).await.unwrap();
    assert!(!report.holds());
    for ((path, _, expected), page) in CASES.iter().zip(&report.pages) {
        let said: Vec<String> = page.complaints.iter().map(ToString::to_string).collect();
        assert_eq!(page.verdict, Verdict::Fails, "{path}: {said:?}");
        assert_eq!(said.len(), expected.len(), "{path}: {said:?}");
        for part in *expected {
            assert!(said.iter().any(|said| said.contains(part)), "{path} lacks {part:?}: {said:?}");
        }
        // Of a page that is on its way elsewhere there is nothing to draw.
        let is_there = !said.iter().any(|said| said.contains("leads to another host"));
        assert_eq!(page.screenshot.is_some(), is_there, "{path}");
    }
    let console = host::files::read_string(report.pages[0].console.as_ref().unwrap()).unwrap();
    assert!(console.contains("cart is undefined (secret)") && !console.contains("sk_live_secret"), "{console}");
}

#[tokio::test]
async fn a_page_that_is_never_loaded_says_what_it_waits_for() {
    let site = Site::plain().await;
    let mut plan = site.plan(vec![site.page("/never-loads"), site.page("/spins")]);
    plan.page_deadline = Duration::from_secs(4);
    let report = run(&plan).await.unwrap();
    let said: Vec<String> =
        report.pages.iter().flat_map(|page| page.complaints.iter().map(ToString::to_string)).collect();
    let [never, spins] = said.as_slice() else { panic!("{said:?}") };
    assert!(never.contains("was not loaded after 4000 ms: still waiting for http://shop.example:"), "{never}");
    assert!(spins.contains("was not loaded after 4000 ms"), "{spins}");
    assert!(report.pages.iter().all(|page| page.verdict == Verdict::Fails));
}

#[tokio::test]
async fn errors_that_are_named_are_let_pass_and_dialogs_hold_nobody() {
    let site = Site::plain().await;
    let known = Rendering { ignored_errors: vec!["analytics".into()], ..Rendering::default() };
    let asked = Rendering { seen: vec![text("asked")], ..Rendering::default() };
    let pages = vec![
        Page { rendering: Some(known), ..site.page("/errors") },
        Page { rendering: Some(asked), ..site.page("/asks") },
    ];
    let report = run(&site.plan(pages)).await.unwrap();
    assert!(report.holds(), "{report:?}");
}

#[tokio::test]
async fn a_browser_reaches_no_host_but_those_of_the_plan() {
    let site = Site::plain().await;
    let seen = Rendering { seen: vec![text("kept in")], ..Rendering::default() };
    let page = Page { rendering: Some(seen), ..site.page("/stranger") };
    let report = run(&site.plan(vec![page])).await.unwrap();
    assert!(report.holds(), "{report:?}");
    let console = host::files::read_string(report.pages[0].console.as_ref().unwrap()).unwrap();
    assert!(console.contains("http://10.1.2.3/: net::ERR_NAME_NOT_RESOLVED"), "{console}");
}

#[tokio::test]
async fn headers_of_a_route_open_it_for_both_ways_of_looking() {
    let site = Site::plain().await;
    let mut plan = site.plan(vec![site.page("/")]);
    plan.routes[0].headers = vec![Header { name: "x-private".into(), value: "green".into() }];
    let report = run(&plan).await.unwrap();
    assert!(report.holds(), "{report:?}");
    let requests = site.requests();
    assert!(requests.len() >= 4 && requests.iter().all(|head| head.contains("x-private: green")), "{requests:?}");
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_believed_by_neither() {
    let (site, other) = (Site::tls().await, Site::tls().await);
    let mut plan = site.plan(vec![site.page("/")]);
    plan.trusted = other.plan(Vec::new()).trusted;
    let report = run(&plan).await.unwrap();
    let (page, said) = only(&report);
    assert_eq!(page.verdict, Verdict::Fails);
    assert!(said[0].contains("cannot be reached") && said[0].contains("certificate"), "{said:?}");
    assert_eq!(page.screenshot, None);
}
