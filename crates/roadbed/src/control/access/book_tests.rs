//! Links, sessions and lists, as they are kept.

use super::*;

const NOON: i64 = 1_800_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(NOON + ms)
}

fn book() -> (tempfile::TempDir, Book) {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::open(&folder.path().join("access.db")).unwrap();
    (folder, book)
}

fn link(digest: u8) -> NewLink<'static> {
    NewLink {
        grants: None,
        digest: [digest; 32],
        name: "anna",
        app: "admin",
        host: "admin.shop.example",
        lasts: Duration::from_secs(60),
        made_by: "ops",
        until: at(1000),
    }
}

#[test]
fn a_link_lets_in_once_at_its_host_in_its_time() {
    let (folder, book) = book();
    for digest in 1..=4 {
        book.keep_link(&link(digest), at(0)).unwrap().unwrap();
    }
    let redeem = |digest: u8, host: &str, ms: i64| book.redeem(&[digest; 32], host, "192.0.2.1", at(ms)).unwrap();
    assert_eq!(redeem(9, "admin.shop.example", 1), Redeemed::None);
    assert_eq!(redeem(1, "www.shop.example", 1), Redeemed::None, "at another host it is none, and not used up");
    let Redeemed::Inside(session) = redeem(1, "admin.shop.example", 1) else { panic!("refused") };
    assert_eq!((session.user.as_str(), session.until), ("anna", at(60_001)));
    assert_eq!(redeem(1, "admin.shop.example", 2), Redeemed::Used);
    assert_eq!(redeem(2, "admin.shop.example", 1000), Redeemed::Over);
    assert_eq!(book.revoke_link(3, at(2)).unwrap().as_deref(), Some("anna"));
    assert_eq!(redeem(3, "admin.shop.example", 3), Redeemed::None);
    // Also for who opens the book anew.
    let again = Book::open(&folder.path().join("access.db")).unwrap();
    assert_eq!(again.name, book.name);
    assert_eq!(again.redeem(&[1; 32], "admin.shop.example", "x", at(3)).unwrap(), Redeemed::Used);
    // The second link, which was tried too late, would hold at this time, and so would the fourth.
    assert_eq!(again.end_all(at(4)).unwrap(), (1, 2));
    assert_eq!(again.redeem(&[4; 32], "admin.shop.example", "x", at(5)).unwrap(), Redeemed::None);
}

#[test]
fn of_two_who_come_at_once_one_is_let_in() {
    let (folder, book) = book();
    book.keep_link(&link(1), at(0)).unwrap();
    let path = folder.path().join("access.db");
    let let_in: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let book = Book::open(&path).unwrap();
                    let redeemed = book.redeem(&[1; 32], "admin.shop.example", "x", at(1)).unwrap();
                    usize::from(matches!(redeemed, Redeemed::Inside(_)))
                })
            })
            .collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).sum()
    });
    assert_eq!(let_in, 1);
}

#[test]
fn what_was_ended_is_told_as_long_as_it_would_hold() {
    let (_folder, book) = book();
    let wanted = NewSession {
        user: "anna",
        email: None,
        host: "admin.shop.example",
        by: "https://id.example",
        client: "192.0.2.1",
        lasts: Duration::from_secs(1),
    };
    let session = book.begin(&wanted, at(0)).unwrap().unwrap();
    assert_eq!(book.ended(at(1)).unwrap(), Vec::<i64>::new());
    assert_eq!(book.end(session.id, at(1)).unwrap().unwrap().ended_at, Some(at(1)));
    assert_eq!(book.end(session.id, at(5)).unwrap().unwrap().ended_at, Some(at(1)), "once");
    assert_eq!(book.ended(at(999)).unwrap(), [session.id]);
    assert_eq!(book.ended(at(1000)).unwrap(), Vec::<i64>::new());
    assert_eq!(book.end(77, at(1)).unwrap(), None);
}

#[test]
fn a_list_forgets_what_is_over() {
    let (_folder, book) = book();
    let listed = |until_ms| Listed {
        network: "203.0.113.0/24".into(),
        verdict: Verdict::Block,
        until_ms,
        reason: "scans".into(),
    };
    book.list(&listed(Some(NOON + 10)), "ops", at(0)).unwrap();
    assert_eq!(book.listed(at(1)).unwrap(), [(listed(Some(NOON + 10)), "ops".to_owned())]);
    assert!(book.listed(at(10)).unwrap().is_empty());
    book.list(&listed(None), "ops", at(11)).unwrap();
    assert!(book.strike("203.0.113.0/24").unwrap() && !book.strike("203.0.113.0/24").unwrap());
}
