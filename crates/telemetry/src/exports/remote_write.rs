//! The message of Prometheus' remote-write 1.0: protobuf, packed by Snappy's block format.

use std::collections::BTreeMap;

use prost::Message;

use crate::metrics::label_name;

/// Sorted by name, `__name__` among them.
pub(super) type Labels = Vec<(String, String)>;

/// The number that says that a series has ended: a NaN of its own, by its bits.
pub(super) fn stale() -> f64 {
    f64::from_bits(0x7ff0_0000_0000_0002)
}

/// Labels as the protocol wants them: with the environment, sorted, none of them empty. A label of the same name that an app chose is
/// told beside it, as Prometheus itself does when it scrapes.
pub(super) fn labels(environment: &str, name: String, labels: Labels) -> Labels {
    let mut all: Labels = labels
        .into_iter()
        .map(|(name, value)| (label_name(&name), value))
        .map(
            |(name, value)| {
                if name == "environment" { ("exported_environment".to_owned(), value) } else { (name, value) }
            },
        )
        .filter(|(_, value)| !value.is_empty())
        .collect();
    all.push(("__name__".to_owned(), name));
    all.push(("environment".to_owned(), environment.to_owned()));
    all.sort();
    all.dedup_by(|one, other| one.0 == other.0);
    all
}

/// One sample of each series, all of the same moment, in milliseconds since 1970.
pub(super) fn packed(all: BTreeMap<Labels, f64>, time: i64) -> Result<Vec<u8>, String> {
    let series = |(labels, value): (Labels, f64)| TimeSeries {
        labels: labels.into_iter().map(|(name, value)| Label { name, value }).collect(),
        samples: vec![Sample { value, timestamp: time }],
    };
    let request = WriteRequest { timeseries: all.into_iter().map(series).collect() };
    let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
    packed.map_err(|error| format!("numbers cannot be packed: {error}"))
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_the_environment_is_ours() {
        let given = [("z-z", "1"), ("environment", "theirs"), ("empty", "")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let names: Vec<String> =
            labels("staging", "up".into(), given).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(names, ["__name__=up", "environment=staging", "exported_environment=theirs", "z_z=1"]);
    }

    #[test]
    fn what_is_packed_is_read_again() {
        let labels = labels("staging", "up".into(), Vec::new());
        let packed = packed([(labels, stale())].into(), 7).unwrap();
        let bytes = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
        let read = WriteRequest::decode(bytes.as_slice()).unwrap();
        let sample = &read.timeseries[0].samples[0];
        assert_eq!((sample.value.to_bits(), sample.timestamp), (stale().to_bits(), 7));
    }
}
