//! What a client is told: Redis's answers in the form that it asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};

use crate::resp::{Value, write_value};

/// The form of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Texts as they are; what is no UTF-8 comes as U+FFFD.
    Json,
    /// Every text in base64, so that none is lost. `OK` stays `OK`.
    Base64,
    /// As Redis says it.
    Resp2,
}

/// Why a form is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoForm {
    #[error("ERR invalid Upstash-Encoding: it is base64 or absent")]
    Encoding,
    #[error("ERR invalid Upstash-Response-Format: it is json or resp2")]
    Format,
    #[error("ERR resp2 has no base64: its texts are bytes already")]
    Both,
    #[error("ERR resp2 is not available for /multi-exec")]
    Transaction,
}

impl Form {
    /// By what two headers ask for.
    ///
    /// # Errors
    /// Where that is no form.
    pub fn of(encoding: Option<&str>, format: Option<&str>) -> Result<Self, NoForm> {
        let is_base64 = match encoding {
            None => false,
            Some(name) if name.eq_ignore_ascii_case("base64") => true,
            Some(_) => return Err(NoForm::Encoding),
        };
        match (format.map(str::to_ascii_lowercase).as_deref(), is_base64) {
            (None | Some("json"), false) => Ok(Self::Json),
            (None | Some("json"), true) => Ok(Self::Base64),
            (Some("resp2"), false) => Ok(Self::Resp2),
            (Some("resp2"), true) => Err(NoForm::Both),
            (Some(_), _) => Err(NoForm::Format),
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Base64 => "application/json",
            Self::Resp2 => "application/octet-stream",
        }
    }

    /// The answer to one command.
    pub fn one(self, value: &Value) -> Bytes {
        let mut text = BytesMut::with_capacity(64);
        match self {
            Self::Resp2 => write_value(&mut text, value),
            Self::Json | Self::Base64 => self.labelled(&mut text, value),
        }
        text.freeze()
    }

    /// The answers to several, in their order.
    pub fn many(self, values: Vec<Value>) -> Bytes {
        let mut text = BytesMut::with_capacity(64 * values.len());
        if self == Self::Resp2 {
            write_value(&mut text, &Value::Array(Some(values)));
            return text.freeze();
        }
        text.put_u8(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                text.put_u8(b',');
            }
            self.labelled(&mut text, value);
        }
        text.put_u8(b']');
        text.freeze()
    }

    fn labelled(self, text: &mut BytesMut, value: &Value) {
        match value {
            Value::Error(error) => {
                text.put_slice(b"{\"error\":");
                put_text(text, error);
            }
            value => {
                text.put_slice(b"{\"result\":");
                self.put(text, value);
            }
        }
        text.put_u8(b'}');
    }

    fn put(self, text: &mut BytesMut, value: &Value) {
        match value {
            Value::Integer(digits) => text.put_slice(digits),
            Value::Bulk(None) | Value::Array(None) => text.put_slice(b"null"),
            Value::Error(error) => put_text(text, error),
            Value::Simple(bytes) | Value::Bulk(Some(bytes)) => match self {
                Self::Base64 if &**bytes != b"OK" => {
                    text.put_u8(b'"');
                    text.put_slice(STANDARD.encode(bytes).as_bytes());
                    text.put_u8(b'"');
                }
                Self::Json | Self::Base64 | Self::Resp2 => put_text(text, bytes),
            },
            Value::Array(Some(values)) => {
                text.put_u8(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        text.put_u8(b',');
                    }
                    self.put(text, value);
                }
                text.put_u8(b']');
            }
        }
    }
}

/// A body that says what went wrong.
pub fn error(message: &str) -> Bytes {
    Form::Json.one(&Value::Error(Bytes::copy_from_slice(message.as_bytes())))
}

fn put_text(text: &mut BytesMut, bytes: &[u8]) {
    let readable = String::from_utf8_lossy(bytes);
    serde_json::to_writer(text.writer(), &*readable).expect("a text is JSON, and memory takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &'static [u8]) -> Value {
        Value::Bulk(Some(Bytes::from_static(text)))
    }

    #[test]
    fn each_form_says_the_same() {
        let all = Value::Array(Some(vec![
            bulk(b"a\"b"),
            bulk(b"\xff"),
            Value::Simple("OK".into()),
            Value::Integer("9223372036854775807".into()),
            Value::Bulk(None),
            Value::Array(Some(vec![bulk(b"OK"), bulk(b"x")])),
        ]));
        let text = |form: Form| String::from_utf8_lossy(&form.one(&all)).into_owned();
        assert_eq!(
            text(Form::Json),
            "{\"result\":[\"a\\\"b\",\"\u{fffd}\",\"OK\",9223372036854775807,null,[\"OK\",\"x\"]]}"
        );
        assert_eq!(text(Form::Base64), r#"{"result":["YSJi","/w==","OK",9223372036854775807,null,["OK","eA=="]]}"#);
        assert_eq!(&Form::Resp2.one(&bulk(b"\xff"))[..], b"$1\r\n\xff\r\n");
        let both = || vec![Value::Error("ERR x".into()), Value::Integer("1".into())];
        assert_eq!(&Form::Base64.many(both())[..], br#"[{"error":"ERR x"},{"result":1}]"#);
        assert_eq!(&Form::Resp2.many(both())[..], b"*2\r\n-ERR x\r\n:1\r\n");
    }

    #[test]
    fn two_headers_choose_the_form() {
        assert_eq!(Form::of(Some("base64"), None), Ok(Form::Base64));
        assert_eq!(Form::of(None, Some("resp2")), Ok(Form::Resp2));
        assert_eq!(Form::of(Some("base64"), Some("resp2")), Err(NoForm::Both));
        assert_eq!(Form::of(None, Some("xml")), Err(NoForm::Format));
        assert_eq!(Form::of(Some("rot13"), None), Err(NoForm::Encoding));
    }
}
