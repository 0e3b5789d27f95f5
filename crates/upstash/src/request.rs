//! What a request asks for: its path, its body and what follows the question mark, as commands.

use std::fmt;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::resp::Command;

/// Why a request is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("ERR invalid percent-encoding in the URL")]
    PercentEncoding,
    #[error("ERR failed to parse the body: {0}")]
    Body(String),
    #[error("ERR empty pipeline request")]
    Nothing,
}

/// One argument as JSON has it: a text, a number in its digits, or a truth.
#[derive(Debug, PartialEq, Eq)]
struct Argument(Bytes);

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgumentVisitor)
    }
}

struct ArgumentVisitor;

impl Visitor<'_> for ArgumentVisitor {
    type Value = Argument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean: whatever else you keep is text to Redis")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Argument, E> {
        Ok(Argument(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Argument, E> {
        Ok(Argument(text.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Argument, E> {
        Ok(Argument(number.to_string().into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Argument, E> {
        Ok(Argument(number.to_string().into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Argument, E> {
        Ok(Argument(number.to_string().into()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Argument, E> {
        Ok(Argument(truth.to_string().into()))
    }
}

fn plain(command: Vec<Argument>) -> Command {
    command.into_iter().map(|argument| argument.0).collect()
}

/// The body of `POST /`: one command.
///
/// # Errors
/// Where it is not a list of texts, numbers and truths.
pub fn command(body: &[u8]) -> Result<Command, BadRequest> {
    let command: Vec<Argument> = serde_json::from_slice(body).map_err(|error| BadRequest::Body(error.to_string()))?;
    Ok(plain(command))
}

/// The body of `/pipeline` and `/multi-exec`: commands.
///
/// # Errors
/// Where it is not a list of them, or there is none.
pub fn commands(body: &[u8]) -> Result<Vec<Command>, BadRequest> {
    let commands: Vec<Vec<Argument>> =
        serde_json::from_slice(body).map_err(|error| BadRequest::Body(error.to_string()))?;
    if commands.is_empty() {
        return Err(BadRequest::Nothing);
    }
    Ok(commands.into_iter().map(plain).collect())
}

/// The command in a path, its body if it has one, and what follows the question mark: `/set/foo?EX=100` with the body `bar` is
/// `SET foo bar EX 100`.
///
/// # Errors
/// Where something is not percent-encoded as it should be.
pub fn of_path(path: &str, query: Option<&str>, body: Option<Bytes>) -> Result<Command, BadRequest> {
    let mut command = segments(path)?;
    command.extend(body);
    for (name, value) in parameters(query.unwrap_or_default()) {
        if name == TOKEN_PARAMETER {
            continue;
        }
        command.push(decoded(&name.replace('+', " "))?);
        if !value.is_empty() {
            command.push(decoded(&value.replace('+', " "))?);
        }
    }
    Ok(command)
}

/// The parameter by which a token comes that is in no header.
const TOKEN_PARAMETER: &str = "_token";

/// The token that is in a query.
pub fn token_of(query: &str) -> Option<&str> {
    parameters(query).find(|(name, _)| *name == TOKEN_PARAMETER).map(|(_, token)| token)
}

/// The parts of a path between its slashes. A part may be empty: `/set/key/` sets an empty text.
pub fn segments(path: &str) -> Result<Command, BadRequest> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(decoded).collect()
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decoded(text: &str) -> Result<Bytes, BadRequest> {
    let is_hex = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    if text.match_indices('%').any(|(at, _)| !is_hex(at + 1) || !is_hex(at + 2)) {
        return Err(BadRequest::PercentEncoding);
    }
    Ok(Bytes::from(percent_decode_str(text).collect::<Vec<u8>>()))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn words(command: &[Bytes]) -> Vec<String> {
        command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    proptest! {
        #[test]
        fn bytes_of_a_path_are_those_that_were_meant(arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5)) {
            let path: String = arguments.iter().map(|bytes| format!("/{}", percent_encode(bytes, NON_ALPHANUMERIC))).collect();
            let command = of_path(&path, None, None).unwrap();
            prop_assert_eq!(command, arguments.into_iter().map(Bytes::from).collect::<Vec<_>>());
        }

        #[test]
        fn no_path_and_no_body_makes_a_reader_panic(path in "\\PC{0,60}", query in "\\PC{0,60}", body in "\\PC{0,60}") {
            let _ = of_path(&path, Some(&query), Some(body.clone().into()));
            let _ = command(body.as_bytes());
            let _ = commands(body.as_bytes());
            let _ = token_of(&query);
        }

        #[test]
        fn whole_numbers_are_what_they_were(number in any::<i64>()) {
            prop_assert_eq!(words(&command(format!("[\"SET\",\"k\",{number}]").as_bytes()).unwrap())[2].clone(), number.to_string());
        }
    }

    #[test]
    fn what_follows_the_question_mark_comes_after_the_body() {
        let found = of_path("/set/foo", Some("EX=100&NX&_token=secret"), Some("b%61r".into())).unwrap();
        assert_eq!(words(&found), ["set", "foo", "b%61r", "EX", "100", "NX"]);
        assert_eq!(token_of("EX=1&_token=secret"), Some("secret"));
        assert_eq!(words(&of_path("/set/a%2Fb/", None, None).unwrap()), ["set", "a/b", ""]);
        assert_eq!(of_path("/get/%zz", None, None), Err(BadRequest::PercentEncoding));
        assert_eq!(of_path("/get/%a", None, None), Err(BadRequest::PercentEncoding));
    }

    #[test]
    fn a_body_is_a_list_of_plain_values() {
        let found = command(br#"["SET","k",9223372036854775807,1.5,true,"\u00e9"]"#).unwrap();
        assert_eq!(words(&found), ["SET", "k", "9223372036854775807", "1.5", "true", "é"]);
        for bad in ["{}", "[null]", "[[\"GET\"]]", "[\"GET\",{}]", "", "[\"GET\"", "\"GET\"", "[\"\\ud800\"]"] {
            assert!(command(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(commands(b"[]"), Err(BadRequest::Nothing));
        assert_eq!(commands(br#"[["GET","a"],[]]"#).unwrap().len(), 2);
    }
}
