//! What is taken out of logs.

use reconcile::ports::Units;
use secrets::Secret;

use crate::environment::{Environment, LIVE, app, eventually};

const SECRET: &str = "MARK-41d07a-correct-horse";

/// Says its secret whenever it is told to.
const CARELESS: &str =
    "echo first $TOKEN; while sleep 0.02; do if [ -e \"$AGAIN\" ]; then echo again $TOKEN; rm \"$AGAIN\"; fi; done";

fn known() -> [(String, Secret); 1] {
    [("TOKEN@1".to_owned(), Secret::new(SECRET.to_owned()))]
}

#[tokio::test]
async fn what_the_keeper_was_told_is_taken_out_of_lines() {
    let environment = Environment::start().await;
    environment.client.look_for(&known()).await.unwrap();
    // The last one is in a line that is cut in the middle of it.
    let script = "echo a $TOKEN b; printf '%s\\n' \"$TOKEN\" | base64 -w0; echo; \
                  head -c 65520 /dev/zero | tr '\\0' x; echo $TOKEN; echo end; exec sleep 1000";
    let mut spec = app("api-1", script);
    spec.env.insert("TOKEN".to_owned(), SECRET.to_owned());
    environment.client.ensure(spec).await.unwrap();
    eventually("the last line", async || environment.log("api-1").contains("\"end\"").then_some(())).await;
    let log = environment.log("api-1");
    assert!(log.contains("a ‹TOKEN@1› b"), "{log:.300}");
    assert_eq!(log.matches("‹TOKEN@1›").count(), 2, "raw and in base64");
    assert!(!log.contains("MARK-41d"), "half a secret is one too: {}", &log[log.len() - 200..]);
}

#[tokio::test]
async fn lines_wait_until_the_next_keeper_knows_what_to_take_out() {
    let environment = Environment::start().await;
    environment.client.look_for(&known()).await.unwrap();
    let again = environment.root.path().join("again");
    let mut spec = app("api-1", CARELESS);
    spec.env.extend([("TOKEN".to_owned(), SECRET.to_owned()), ("AGAIN".to_owned(), again.display().to_string())]);
    environment.client.ensure(spec).await.unwrap();
    eventually("the first", async || environment.log("api-1").contains("first ‹TOKEN@1›").then_some(())).await;

    environment.kill_keeper().await;
    host::files::write(&again, b"", host::files::Access::Owner).unwrap();
    eventually("it was said", async || (!again.exists()).then_some(())).await;
    environment.launch().await;
    // The next keeper is at work: it captures what others write.
    environment.client.ensure(app("other", "echo I live; exec sleep 1000")).await.unwrap();
    eventually("another's line", async || environment.log("other").contains("I live").then_some(())).await;
    assert!(!environment.log("api-1").contains("again"), "{}", environment.log("api-1"));

    environment.client.look_for(&known()).await.unwrap();
    eventually("the second", async || environment.log("api-1").contains("again ‹TOKEN@1›").then_some(())).await;
    assert!(!environment.log("api-1").contains(SECRET));
}

#[tokio::test]
async fn other_secrets_are_looked_for_from_then_on() {
    let environment = Environment::start().await;
    environment.client.look_for(&[]).await.unwrap();
    environment.client.look_for(&known()).await.unwrap();
    let mut spec = app("api-1", &format!("echo $TOKEN; {LIVE}"));
    spec.env.insert("TOKEN".to_owned(), SECRET.to_owned());
    environment.client.ensure(spec).await.unwrap();
    eventually("its line", async || environment.log("api-1").contains("‹TOKEN@1›").then_some(())).await;
}
