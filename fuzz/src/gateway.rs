//! What clients of the gateway before Redis send, and what Redis answers.

use bytes::BytesMut;
use upstash::resp::{Reader, Value, write_value};
use upstash::{Login, answer::Form, denied, request};

/// A token: what is read is what was written, and nothing else is read.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(login) = Login::read(&text) {
        assert_eq!(*login.token(), *text, "two tokens mean one login");
    }
}

/// A target, then a line, then a body: no command has more than what came.
pub fn request(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == b'\n');
    let target = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let body = parts.next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    if let Ok(command) = request::of_path(path, query, Some(body.to_vec().into())) {
        assert!(command.iter().map(|word| word.len()).sum::<usize>() <= target.len() + body.len());
        let _ = denied::check(&command);
    }
    if let Ok(commands) = request::commands(body) {
        assert!(!commands.is_empty());
    }
    let _ = request::command(body);
}

/// An answer: what is read is what is written again, and every form of it can be made.
pub fn answer(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut reader = Reader::new(1 << 16);
    while let Ok(Some(value)) = reader.next(&mut buffer) {
        let mut written = BytesMut::new();
        write_value(&mut written, &value);
        let again = Reader::new(1 << 16).next(&mut written);
        assert_eq!(again, Ok(Some(value.clone())));
        for form in [Form::Json, Form::Base64] {
            let text = form.one(&value);
            // A number may be larger than JSON's readers take; all else is JSON.
            assert!(std::str::from_utf8(&text).is_ok());
        }
        if let Value::Bulk(Some(text)) = &value {
            assert!(
                serde_json::from_slice::<serde_json::Value>(&Form::Json.one(&Value::Bulk(Some(text.clone())))).is_ok()
            );
        }
    }
}
