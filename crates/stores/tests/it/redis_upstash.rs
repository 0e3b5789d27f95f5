//! Redis as Upstash has it: a real server, and before it a stand-in for what its `ACL` says otherwise, by Upstash's documentation.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use reconcile::{Fault, Resource, ResourceId};
use redis::Value;
use secrets::Secret;
use stores::External;
use stores::external::Dialect;
use stores::leases::{self, Rights};
use stores::redis::external::{rest_token, rest_url};
use stores::redis::{ExternalRedis, Purpose};

use crate::elsewhere::{redis as provider_of, told};
use crate::leases::lease;
use crate::provider::{PASSWORD, RedisProvider};
use crate::stand::{Stand, app, converge, redis_settings};

const USER: &str = "shop:local:app-api";
const READER: &str = "shop:local:app-api.r";

/// Passwords by the tokens that wrap them.
type Tokens = Arc<Mutex<BTreeMap<String, String>>>;

/// Speaks for the server behind `port`, in the clear and on this machine; says where.
fn stand_in(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let tokens = Tokens::default();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, tokens) = (client.unwrap(), tokens.clone());
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || relay(&client, &server, &tokens));
        }
    });
    own
}

/// Clients wait for each answer before they ask about users again, so what is said here comes in order.
fn relay(mut client: &TcpStream, mut server: &TcpStream, tokens: &Tokens) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    while let Some(words) = request(&mut reader) {
        match otherwise(&words, tokens) {
            Ok(words) => server.write_all(&encoded(&words)).unwrap(),
            Err(answer) => client.write_all(answer.as_bytes()).unwrap(),
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
}

fn request(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut line = String::new();
    let mut number = |reader: &mut dyn BufRead| {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        line[1..].trim().parse::<usize>().ok()
    };
    let count = number(reader)?;
    (0..count)
        .map(|_| {
            let mut text = vec![0; number(reader)? + 2];
            reader.read_exact(&mut text).ok()?;
            text.truncate(text.len() - 2);
            String::from_utf8(text).ok()
        })
        .collect()
}

fn encoded(words: &[String]) -> Vec<u8> {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let all: Vec<String> = words.collect();
    format!("*{}\r\n{}", all.len(), all.concat()).into_bytes()
}

/// What goes on to the server, or what is said in its place.
fn otherwise(words: &[String], tokens: &Tokens) -> Result<Vec<String>, String> {
    let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    let error = |why: &str| Err(format!("-ERR {why}\r\n"));
    let bulk = |text: &str| Err(format!("${}\r\n{text}\r\n", text.len()));
    if upper.first().map(String::as_str) != Some("ACL") {
        return Ok(words.to_vec());
    }
    match (upper[1].as_str(), &words[2..]) {
        ("GENTOKEN", [user, password]) => {
            let token = format!("wrapped:{user}:{password}");
            tokens.lock().unwrap().insert(token.clone(), password.clone());
            bulk(&token)
        }
        ("RESTTOKEN", [user, password]) if !password.is_empty() => bulk(&format!("rest of {user}")),
        ("SETUSER", [user, ..]) if user == "default" => error("the default user cannot be modified"),
        ("SETUSER", rules) => {
            let mut sent = words[..2].to_vec();
            for rule in rules {
                match rule.split_at(1) {
                    ("#", _) => return error("hashed passwords are not accepted"),
                    (">", token) => match tokens.lock().unwrap().get(token) {
                        Some(password) => sent.push(format!(">{password}")),
                        None => return error("the password is no token"),
                    },
                    ("+" | "-", name) if name.contains('|') => return error("subcommands are not supported"),
                    ("%", _) => return error("unknown rule"),
                    _ => sent.push(rule.clone()),
                }
            }
            Ok(sent)
        }
        ("LIST" | "WHOAMI" | "USERS" | "DELUSER" | "SAVE", _) => Ok(words.to_vec()),
        _ => error("unknown subcommand"),
    }
}

struct There {
    provider: RedisProvider,
    stand: Stand,
    redis: ExternalRedis,
}

impl There {
    async fn new() -> Self {
        let port = host::socket::free_port().unwrap();
        let provider = provider_of(&format!("port {port}")).await;
        let stand = Stand::new();
        // Control has made it before anything is converged.
        std::fs::create_dir_all(stand.ground.root.path().join("state")).unwrap();
        told(&stand, "redis", &format!("redis://:{PASSWORD}@127.0.0.1:{}", stand_in(port)));
        let external = External { ca: None, dialect: Dialect::Upstash };
        let redis = ExternalRedis::new(redis_settings(), external, stand.ground.clone());
        Self { provider, stand, redis: redis.after(ResourceId::new("redis/upstash")) }
    }

    async fn converge(&self) -> Result<Vec<String>, Fault> {
        converge(&self.redis, |step| async move { self.redis.perform(&step).await }).await
    }

    async fn by_hand(&self, words: &[&str]) -> Value {
        redis::cmd("ACL").arg(words).query_async(&mut self.provider.admin().await).await.unwrap()
    }

    async fn users(&self) -> Vec<String> {
        redis::cmd("ACL").arg("USERS").query_async(&mut self.provider.admin().await).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_to_be_in_upstashs_dialect_and_have_tokens() {
    let there = There::new().await;
    assert_eq!(there.redis.needs(), [ResourceId::new("redis/upstash")]);
    there.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(there.users().await, ["default", USER, READER]);
    assert_eq!(there.converge().await.unwrap(), Vec::<String>::new());
    let ground = &there.stand.ground;
    let password = there.stand.versioned(&Purpose::Durable.app_secret(&app()));
    let mut as_app = there.provider.enter(USER, password.secret.expose()).await.unwrap();
    let done: Value = redis::cmd("SET").arg("shop:local:a").arg("1").query_async(&mut as_app).await.unwrap();
    assert_eq!(done, Value::Okay);
    for words in [&["GET", "others:1"][..], &["FLUSHALL"], &["ACL", "LIST"], &["CONFIG", "GET", "*"], &["KEYS", "*"]] {
        let refused: redis::RedisResult<Value> = redis::cmd(words[0]).arg(&words[1..]).query_async(&mut as_app).await;
        assert_eq!(refused.unwrap_err().code(), Some("NOPERM"), "{words:?}");
    }
    let token = |reads| rest_token(&app(), &password, reads, ground).unwrap();
    assert_eq!(token(false).expose(), format!("rest of {USER}"));
    assert_eq!(token(true).expose(), format!("rest of {READER}"));
    assert_eq!(rest_url(ground).unwrap(), "https://127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_at_upstash_is_seen_without_asking_what_a_user_may() {
    let there = There::new().await;
    there.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let put = |name: &str, because: &str| format!("set the user {name} on the external server ({because})");
    let remove = |name: &str| format!("remove the user {name} from the external server: nobody asks for it");
    for (what, expected) in [
        (&["SETUSER", USER, "+config"][..], put(USER, "password, keys or rights")),
        (&["SETUSER", READER, "~*"], put(READER, "password, keys or rights")),
        (&["SETUSER", USER, ">another"], put(USER, "password, keys or rights")),
        (&["DELUSER", READER], put(READER, "missing")),
        (&["SETUSER", "shop:local:app-old", "on", ">x"], remove("shop:local:app-old")),
    ] {
        there.by_hand(what).await;
        assert_eq!(there.converge().await.unwrap(), [expected], "{what:?}");
        assert_eq!(there.converge().await.unwrap(), Vec::<String>::new());
    }
    let lease = lease(Rights::OfApp, &Secret::new("of a lease".to_owned()));
    let lent = leases::redis::lend_elsewhere(&there.redis, &lease).await;
    assert!(lent.unwrap_err().message.contains("cannot lend"));
}
