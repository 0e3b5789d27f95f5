use super::*;

const HOUR: i64 = 3_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000 + millis)
}

struct Book {
    folder: tempfile::TempDir,
}

impl Book {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens.db")
    }

    fn open(&self) -> Tokens {
        Tokens::open(&self.path()).unwrap()
    }
}

fn wish() -> Wish {
    Wish {
        name: "ci".to_owned(),
        role: Role::Deployer,
        person: None,
        scope: Scope { environment: "staging".to_owned(), root: "1".to_owned() },
        made_by: "anna".to_owned(),
        until: at(HOUR),
    }
}

#[test]
fn a_token_holds_until_it_expires_or_is_revoked_also_after_a_restart() {
    let book = Book::new();
    let token = Token::make().unwrap();
    let kept = book.open().keep(&token, &wish(), at(0)).unwrap();
    assert_eq!((kept.id, kept.role, kept.used_at), (TokenId(1), Role::Deployer, None));
    let again = book.open();
    let shown = again.shown(token.digest()).unwrap().unwrap();
    assert_eq!(shown, kept);
    assert_eq!(shown.standing(at(HOUR - 1)), Standing::Holds);
    assert_eq!(shown.standing(at(HOUR)), Standing::Expired);
    assert_eq!(shown.standing(at(-HOUR)), Standing::Expired, "a clock that was set back makes nothing valid");
    assert_eq!(again.shown(Token::make().unwrap().digest()).unwrap(), None);
    let revoked = again.revoke(kept.id, at(5)).unwrap().unwrap();
    assert_eq!(revoked.standing(at(6)), Standing::Revoked);
    assert_eq!(again.revoke(kept.id, at(9)).unwrap().unwrap().revoked_at, Some(at(5)), "once is enough");
    assert_eq!(again.revoke(TokenId(7), at(9)).unwrap(), None);
    assert_eq!(book.open().shown(token.digest()).unwrap().unwrap().standing(at(6)), Standing::Revoked);
}

#[test]
fn no_token_is_in_the_file() {
    let book = Book::new();
    let token = Token::make().unwrap();
    drop({
        let open = book.open();
        open.keep(&token, &wish(), at(0)).unwrap();
        open
    });
    for file in host::files::list(book.folder.path()).unwrap() {
        let bytes = host::files::read(&file).unwrap();
        for part in [token.expose(), &token.expose()[5..37]] {
            assert!(!bytes.windows(part.len()).any(|window| window == part.as_bytes()), "{}", file.display());
        }
    }
}

#[test]
fn when_a_token_was_used_is_noted_to_the_minute() {
    let book = Book::new();
    let tokens = book.open();
    let token = Token::make().unwrap();
    let kept = tokens.keep(&token, &wish(), at(0)).unwrap();
    let used = |now: i64| {
        tokens.used(&tokens.get(kept.id).unwrap().unwrap(), at(now)).unwrap();
        tokens.get(kept.id).unwrap().unwrap().used_at.unwrap()
    };
    assert_eq!(used(10), at(10));
    assert_eq!(used(59_000), at(10));
    assert_eq!(used(60_010), at(60_010));
}

#[test]
fn a_request_with_a_key_is_done_once() {
    let book = Book::new();
    let tokens = book.open();
    let (ours, theirs) = (TokenId(1), TokenId(2));
    let begin = |token, asked: u8, now| tokens.begin(token, "k", &[asked; 32], at(now)).unwrap();
    assert_eq!(begin(ours, 1, 0), Remembered::Begun);
    assert_eq!(begin(ours, 1, 1), Remembered::Unfinished);
    tokens.end(ours, "k", 202, "{}").unwrap();
    assert_eq!(begin(ours, 1, 2), Remembered::Answered { status: 202, answer: "{}".to_owned() });
    assert_eq!(begin(ours, 2, 3), Remembered::Other);
    assert_eq!(begin(theirs, 1, 4), Remembered::Begun, "keys are each token's own");
    tokens.forget(theirs, "k").unwrap();
    assert_eq!(begin(theirs, 1, 5), Remembered::Begun);
    assert_eq!(begin(ours, 1, 25 * HOUR), Remembered::Begun, "a day later nobody tries it again");
}

#[test]
fn a_damaged_book_is_not_an_empty_one() {
    let book = Book::new();
    host::files::write(&book.path(), b"nonsense", host::files::Access::Owner).unwrap();
    assert!(matches!(Tokens::open(&book.path()), Err(TokensFault::Open(DatabaseFault::Damaged { .. }))));
}
