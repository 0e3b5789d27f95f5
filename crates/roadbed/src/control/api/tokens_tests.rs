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
        Tokens::open(&self.path(), at(0)).unwrap()
    }
}

fn wish() -> Wish {
    Wish {
        name: "ci".to_owned(),
        role: Role::Deployer,
        person: None,
        scope: Scope { environment: "staging".to_owned(), root: "1".to_owned() },
        commit: None,
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
    assert!(matches!(Tokens::open(&book.path(), at(0)), Err(TokensFault::Open(DatabaseFault::Damaged { .. }))));
}

fn run(id: &str, made_at: i64) -> oidc::Accepted {
    oidc::Accepted {
        issuer: "https://ci.example".to_owned(),
        id: id.to_owned(),
        made_at: at(made_at),
        until: at(made_at + 360_000),
        repository: "urbancart/shop".to_owned(),
        repository_id: "1".to_owned(),
        commit: "0".repeat(40),
        git_ref: "refs/heads/main".to_owned(),
        event: "push".to_owned(),
        run: "1".to_owned(),
        attempt: "1".to_owned(),
    }
}

fn exchanged(tokens: &Tokens, run: &oidc::Accepted, now: i64) -> Exchange {
    let wish = Wish { role: Role::Pipeline, commit: Some(run.commit.clone()), until: at(now + 900_000), ..wish() };
    tokens.exchange(run, &Token::make().unwrap(), &wish, at(now)).unwrap()
}

#[test]
fn a_token_of_a_ci_is_accepted_once_also_after_a_restart_and_long_after_its_end() {
    let book = Book::new();
    let first = exchanged(&book.open(), &run("a", 1000), 2000);
    let Exchange::Made(kept) = first else { panic!("{first:?}") };
    assert_eq!((kept.role, kept.commit.as_deref()), (Role::Pipeline, Some("0".repeat(40).as_str())));
    let again = book.open();
    let replayed = Exchange::Refused(oidc::Refusal::Replayed);
    assert_eq!(exchanged(&again, &run("a", 1000), 3000), replayed);
    assert_eq!(again.all().unwrap().len(), 1, "no token was made");
    // Another issuer's may be called the same.
    let other = oidc::Accepted { issuer: "https://other.example".to_owned(), ..run("a", 1000) };
    assert!(matches!(exchanged(&again, &other, 3000), Exchange::Made(_)));
    assert_eq!(exchanged(&again, &run("a", 1000), 20 * HOUR), replayed);
}

#[test]
fn a_book_that_was_lost_accepts_nothing_of_before_it_began() {
    let book = Book::new();
    drop(exchanged(&book.open(), &run("a", 1000), 2000));
    for end in ["", "-wal", "-shm"] {
        host::files::remove(&book.folder.path().join(format!("tokens.db{end}"))).unwrap();
    }
    let fresh = Tokens::open(&book.path(), at(5000)).unwrap();
    assert_eq!(exchanged(&fresh, &run("a", 1000), 6000), Exchange::Refused(oidc::Refusal::BeforeTheBook));
    assert!(matches!(exchanged(&fresh, &run("b", 5001), 6000), Exchange::Made(_)));
}

#[test]
fn a_clock_that_was_set_back_makes_no_token_hold_again() {
    let book = Book::new();
    let tokens = book.open();
    drop(exchanged(&tokens, &run("a", 1000), 100 * HOUR));
    let refused = Exchange::Refused(oidc::Refusal::ClockSetBack(at(100 * HOUR)));
    assert_eq!(exchanged(&tokens, &run("b", 1000), 2000), refused);
    assert!(matches!(exchanged(&tokens, &run("b", 1000), 100 * HOUR - 30_000), Exchange::Made(_)), "within the skew");
}

#[test]
fn a_book_of_before_there_were_runs_is_read_and_goes_on() {
    let book = Book::new();
    let before = Schema { application_id: SCHEMA.application_id, migrations: &SCHEMA.migrations[..1] };
    drop(database::open(&book.path(), before, Presence::MayBeNew).unwrap());
    let tokens = book.open();
    tokens.keep(&Token::make().unwrap(), &wish(), at(0)).unwrap();
    assert_eq!(tokens.all().unwrap().len(), 1);
}
