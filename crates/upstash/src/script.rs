//! Scripts that Upstash's own libraries send, as a Redis runs them.
//!
//! Their first line may ask for a lock on keys, which only Upstash has. A Redis runs one script at a time, so there is nothing to lock:
//! it would do what is asked for, and refuses the script for the word alone.

use bytes::Bytes;

const FLAG: &str = "allow-key-locking";

/// Takes that word out of a command that brings a script.
pub(crate) fn settle(command: &mut [Bytes]) {
    let is = |at: usize, name: &str| command.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let at = if is(0, "EVAL") || is(0, "EVAL_RO") {
        1
    } else if is(0, "SCRIPT") && is(1, "LOAD") {
        2
    } else {
        return;
    };
    if let Some(script) = command.get_mut(at)
        && let Some(plain) = without_flag(script)
    {
        *script = plain;
    }
}

fn without_flag(script: &Bytes) -> Option<Bytes> {
    let end = script.iter().position(|byte| *byte == b'\n')?;
    let first =
        std::str::from_utf8(&script[..end]).ok().filter(|first| first.starts_with("#!lua") && first.contains(FLAG))?;
    let words = first.split(' ').filter_map(|word| match word.strip_prefix("flags=") {
        None => Some(word.to_owned()),
        Some(flags) => {
            let others: Vec<&str> = flags.split(',').filter(|flag| *flag != FLAG).collect();
            (!others.is_empty()).then(|| format!("flags={}", others.join(",")))
        }
    });
    let first: Vec<String> = words.collect();
    Some([first.join(" ").as_bytes(), &script[end..]].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_loses_the_one_word_that_redis_does_not_know() {
        let settled = |words: &[&'static str]| {
            let mut command: Vec<Bytes> = words.iter().map(|word| Bytes::from_static(word.as_bytes())).collect();
            settle(&mut command);
            command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(settled(&["eval", "#!lua flags=allow-key-locking\nreturn 1", "0"]), "eval|#!lua\nreturn 1|0");
        let two = "#!lua flags=no-writes,allow-key-locking name=x\nreturn 1";
        assert_eq!(settled(&["SCRIPT", "load", two]), "SCRIPT|load|#!lua flags=no-writes name=x\nreturn 1");
        for other in
            ["return 'flags=allow-key-locking'\n", "#!lua flags=no-writes\nreturn 1", "#!lua flags=allow-key-locking"]
        {
            assert_eq!(settled(&["EVAL", other, "0"]), format!("EVAL|{other}|0"));
        }
        assert_eq!(settled(&["set", "k", two]), format!("set|k|{two}"));
    }
}
