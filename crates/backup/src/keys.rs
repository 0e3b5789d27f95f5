//! Keys of Redis, brought from a scratch server to a living one, with their types and their ends.

use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd, pipe};
use serde::{Deserialize, Serialize};

/// So many keys are asked for at once.
const BATCH: usize = 200;

/// What became of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRestored {
    pub unit: String,
    /// Beginning of the keys that were put back, as the backup has them.
    pub from: String,
    /// And as they are called now.
    pub to: String,
    pub keys: u64,
    /// Keys that came later and are gone; only in place.
    pub taken_away: u64,
}

/// Brings all keys that begin with `from` to a living server, where they begin with `to`. Where that is the same, what the backup
/// does not have is taken away there in the end. Begun again it comes to the same.
///
/// # Errors
/// Where one of them does not answer, or the living one refuses. Keys that were put until then are there.
pub async fn put_back_keys(
    scratch: &mut MultiplexedConnection,
    living: &mut MultiplexedConnection,
    unit: &str,
    (from, to): (&str, &str),
) -> Result<KeysRestored, Fault> {
    let reading = |error: redis::RedisError| Fault::because(format!("cannot read the backup of {unit}"), &error);
    let writing = |error: redis::RedisError| {
        Fault::because(format!("cannot put keys back into {unit}"), &error)
            .hint(format!("see `roadbed logs {unit}`; then the same command again"))
            .retry_safe()
    };
    let mut done = KeysRestored { unit: unit.to_owned(), from: from.into(), to: to.into(), ..KeysRestored::default() };
    let saved = all(scratch, from).await.map_err(reading)?;
    for keys in saved.chunks(BATCH) {
        let mut ask = pipe();
        for key in keys {
            ask.cmd("DUMP").arg(key).cmd("PEXPIRETIME").arg(key);
        }
        let answers: Vec<Value> = ask.query_async(scratch).await.map_err(reading)?;
        let mut put = pipe();
        let mut count = 0;
        for (key, answer) in keys.iter().zip(answers.chunks(2)) {
            let [Value::BulkString(dumped), Value::Int(end)] = answer else {
                // Its time was over meanwhile.
                continue;
            };
            // -1: it does not end.
            let end = (*end).max(0);
            put.cmd("RESTORE")
                .arg(renamed(key, from, to))
                .arg(end)
                .arg(&dumped[..])
                .arg("REPLACE")
                .arg("ABSTTL")
                .ignore();
            count += 1;
        }
        put.query_async::<()>(living).await.map_err(writing)?;
        done.keys += count;
    }
    if from == to {
        let known: std::collections::HashSet<&Vec<u8>> = saved.iter().collect();
        let later: Vec<Vec<u8>> = all(living, to).await.map_err(writing)?;
        let later: Vec<Vec<u8>> = later.into_iter().filter(|key| !known.contains(key)).collect();
        for keys in later.chunks(BATCH) {
            cmd("UNLINK").arg(keys).query_async::<u64>(living).await.map_err(writing)?;
            done.taken_away += keys.len() as u64;
        }
    }
    Ok(done)
}

fn renamed(key: &[u8], from: &str, to: &str) -> Vec<u8> {
    [to.as_bytes(), key.get(from.len()..).unwrap_or_default()].concat()
}

/// All keys that begin so.
async fn all(connection: &mut MultiplexedConnection, prefix: &str) -> Result<Vec<Vec<u8>>, redis::RedisError> {
    // A scan may tell a key twice.
    let mut keys = std::collections::BTreeSet::new();
    let mut cursor: u64 = 0;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}*", literal(prefix))).arg("COUNT").arg(BATCH);
        let (next, found): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        keys.extend(found);
        cursor = next;
        if cursor == 0 {
            return Ok(keys.into_iter().collect());
        }
    }
}

/// A prefix in which nothing is a pattern.
fn literal(prefix: &str) -> String {
    let mut text = String::new();
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern_and_a_key_keeps_its_end() {
        assert_eq!(literal("shop:[a]*?"), "shop:\\[a\\]\\*\\?");
        assert_eq!(renamed(b"shop:cart:\xff7", "shop:", "shop:then:"), b"shop:then:cart:\xff7");
    }
}
