//! OpenTelemetry's messages as far as we read them, in both forms: protobuf by `prost`, JSON by `serde`. The numbers are those of
//! opentelemetry-proto 1; what we have no use for is left out, and passed over by both.
//!
//! The types are our own and not those of the `opentelemetry-proto` crate, which brings tonic and thirty others along.

use prost::{Message, Oneof};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Body of `/v1/logs`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub(crate) log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    #[serde(deserialize_with = "number")]
    pub(crate) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(crate) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(crate) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    #[serde(deserialize_with = "hexadecimal")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    #[serde(deserialize_with = "hexadecimal")]
    pub(crate) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    #[serde(deserialize_with = "number")]
    pub(crate) observed_time_unix_nano: u64,
}

/// Body of `/v1/traces`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TracesRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(deserialize_with = "hexadecimal")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(deserialize_with = "hexadecimal")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    #[serde(deserialize_with = "hexadecimal")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    #[serde(deserialize_with = "number")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    #[serde(deserialize_with = "number")]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    /// 2: failed.
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

/// Body of `/v1/metrics`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MetricsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    pub(crate) metrics: Vec<Metric>,
}

/// Numbers alone: histograms are counted as rejected, and said so in the answer.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metric {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) gauge: Option<Points>,
    #[prost(message, optional, tag = "7")]
    pub(crate) sum: Option<Points>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Points {
    #[prost(message, repeated, tag = "1")]
    pub(crate) data_points: Vec<Point>,
    #[prost(bool, tag = "3")]
    pub(crate) is_monotonic: bool,
    /// 1: since the last report, 2: since the start.
    #[prost(int32, tag = "2")]
    pub(crate) aggregation_temporality: i32,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Point {
    #[prost(double, optional, tag = "4")]
    pub(crate) as_double: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    #[serde(deserialize_with = "integer")]
    pub(crate) as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    #[serde(flatten)]
    pub(crate) kind: Option<Kind>,
}

#[expect(clippy::enum_variant_names, reason = "as they are called in JSON")]
#[derive(Clone, PartialEq, Oneof, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    #[prost(string, tag = "1")]
    StringValue(String),
    #[prost(bool, tag = "2")]
    BoolValue(bool),
    #[prost(int64, tag = "3")]
    #[serde(deserialize_with = "signed")]
    IntValue(i64),
    #[prost(double, tag = "4")]
    DoubleValue(f64),
    #[prost(message, tag = "5")]
    ArrayValue(Values),
    #[prost(message, tag = "6")]
    KvlistValue(KeyValues),
    #[prost(bytes = "vec", tag = "7")]
    #[serde(deserialize_with = "base64")]
    BytesValue(Vec<u8>),
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(crate) struct Values {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValues {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<KeyValue>,
}

impl AnyValue {
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            None => Value::Null,
            Some(Kind::StringValue(text)) => text.clone().into(),
            Some(Kind::BoolValue(is)) => (*is).into(),
            Some(Kind::IntValue(number)) => (*number).into(),
            Some(Kind::DoubleValue(number)) => (*number).into(),
            Some(Kind::ArrayValue(Values { values })) => values.iter().map(Self::json).collect(),
            Some(Kind::KvlistValue(KeyValues { values })) => json_of(values).into(),
            Some(Kind::BytesValue(bytes)) => format!("{} bytes", bytes.len()).into(),
        }
    }
}

/// Attributes as an object.
pub(crate) fn json_of(attributes: &[KeyValue]) -> Map<String, Value> {
    let json = |value: &Option<AnyValue>| value.as_ref().map_or(Value::Null, AnyValue::json);
    attributes.iter().map(|KeyValue { key, value }| (key.clone(), json(value))).collect()
}

impl Resource {
    /// An attribute that is a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.key == key)?;
        match &found.value.as_ref()?.kind {
            Some(Kind::StringValue(text)) => Some(text),
            _ => None,
        }
    }
}

/// As protobuf's JSON has 64-bit numbers: as text, and as numbers by those who do not care.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<T> {
    Plain(T),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Plain(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn signed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Plain(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    signed(deserializer).map(Some)
}

/// Ids, which OTLP's JSON has in hexadecimal, unlike all other bytes.
fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > 64 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(serde::de::Error::custom("an id is of 16 or 32 hexadecimal digits"));
    }
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(serde::de::Error::custom))
        .collect()
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    // Only how much it is, is ever shown.
    String::deserialize(deserializer).map(String::into_bytes)
}

/// An id as it is written everywhere else; `None` where it is none.
pub(crate) fn id_of(bytes: &[u8], length: usize) -> Option<String> {
    let is_one = bytes.len() == length && bytes.iter().any(|byte| *byte != 0);
    is_one.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},
            "scopeSpans":[{"scope":{"name":"x"},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",
            "name":"GET /","kind":2,"startTimeUnixNano":"1767225600000000000","endTimeUnixNano":1767225600000000001,
            "attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true}]}}}],
            "status":{"code":2}}]}]}]}"#;
        let of_json: TracesRequest = serde_json::from_str(json).unwrap();
        let span = &of_json.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(id_of(&span.trace_id, 16).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(Value::from(json_of(&span.attributes)), serde_json::json!({ "n": 7, "l": [true] }));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1);
        let bytes = of_json.encode_to_vec();
        assert_eq!(TracesRequest::decode(bytes.as_slice()).unwrap(), of_json);
        assert_eq!(of_json.resource_spans[0].resource.as_ref().unwrap().text("service.name"), Some("web"));
        assert!(
            serde_json::from_str::<TracesRequest>(
                r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"é"}]}]}]}"#
            )
            .is_err()
        );
    }
}
