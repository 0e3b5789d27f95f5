//! `mongod.conf`. It holds no secret, but says where they are: 0600.

use std::path::Path;
use std::time::Duration;

use manifest::environment;

use super::REPLICA_SET;
use super::place::Place;

/// How long a member that was asked to end lets others finish what they do there. mongod itself takes 15 s, of which nobody has
/// anything: drivers are told at once.
const QUIESCE: Duration = Duration::from_secs(2);

/// On an empty folder a server has no users, and mongod would let whoever is local make the first one: not here, where nobody may do
/// anything who has neither a certificate nor the key of the set.
pub(crate) fn render(place: &Place) -> String {
    format!(
        "# Written by Roadbed; changes here are overwritten.\n\
         net:\n  bindIp: 127.0.0.1\n  port: {port}\n{tls}  maxIncomingConnections: {connections}\n  ipv6: false\n  unixDomainSocket:\n    enabled: false\n\
         security:\n  authorization: enabled\n  keyFile: {key_file}\n  javascriptEnabled: false\n\
         replication:\n  replSetName: {REPLICA_SET}\n  oplogSizeMB: {oplog}\n\
         storage:\n  dbPath: {data}\n  wiredTiger:\n    engineConfig:\n      cacheSizeGB: {cache}\n\
         setParameter:\n  authenticationMechanisms: SCRAM-SHA-256,MONGODB-X509\n  \
         suppressNoTLSPeerCertificateWarning: true\n  diagnosticDataCollectionEnabled: false\n  \
         enableLocalhostAuthBypass: false\n  shutdownTimeoutMillisForSignaledShutdown: {quiesce}\n\
         systemLog:\n  quiet: true\n  timeStampFormat: iso8601-utc\n",
        port = place.port,
        tls = tls(place),
        connections = environment::MongoDb::CONNECTIONS,
        oplog = (place.settings.oplog_bytes >> 20).max(1),
        quiesce = QUIESCE.as_millis(),
        key_file = quoted(&place.key_file()),
        data = quoted(&place.data),
        cache = cache_gigabytes(place.settings.cache_bytes),
    )
}

/// Nothing is said in the clear. Apps show no certificate but have passwords; who shows one must show a good one.
fn tls(place: &Place) -> String {
    format!(
        "  tls:\n    mode: requireTLS\n    CAFile: {ca}\n    certificateKeyFile: {certificate}\n    \
         allowConnectionsWithoutCertificates: true\n    disabledProtocols: TLS1_0,TLS1_1\n",
        ca = quoted(&place.ca_file()),
        certificate = quoted(&place.certificate_file()),
    )
}

/// WiredTiger's cache has a floor of a quarter of a gigabyte; less is refused at start.
fn cache_gigabytes(bytes: u64) -> String {
    const FLOOR: u64 = 1 << 28;
    let thousandths = (u128::from(bytes.max(FLOOR)) * 1000) >> 30;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// A YAML single-quoted scalar: nothing in it means anything but the quote.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_path_with_spaces_and_quotes_stays_a_path() {
        assert_eq!(quoted(&PathBuf::from("/home/it's a: #1/x")), "'/home/it''s a: #1/x'");
    }

    #[test]
    fn the_cache_is_written_in_gigabytes_and_never_below_the_floor() {
        assert_eq!(cache_gigabytes(256 << 20), "0.250");
        assert_eq!(cache_gigabytes(1), "0.250");
        assert_eq!(cache_gigabytes(3 << 29), "1.500");
    }
}
