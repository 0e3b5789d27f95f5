//! Proofs in the name service (DNS-01): records put there by dynamic update (RFC 2136), signed with a shared key (RFC 8945), waited
//! for where an authority asks, and taken back.
//!
//! What is put is noted first, so that what a crash left is taken back by whoever comes next.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hickory_proto::op::{Message, Query, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, RecordSet, RecordType, TSigner};
use host::clock::{Clock, SystemClock, Timestamp};
use host::files::{self, Access};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use crate::order::Failure;

/// One question and its answer, over TCP: what is signed hardly fits a datagram.
const ANSWER: Duration = Duration::from_secs(10);

/// Between two looks at whether a record is seen.
const PAUSE: Duration = Duration::from_millis(250);

/// As short as name servers allow: nobody but the authority asks, and once.
const TTL: u32 = 60;

/// How far the clocks of both sides may be apart, as RFC 8945 recommends.
const FUDGE: u16 = 300;

/// Where records are put, and by which right.
#[derive(Debug)]
pub struct Zone {
    /// Takes updates: `HOST:PORT`.
    pub server: String,
    /// The zone that it serves.
    pub name: String,
    pub key: Key,
    /// Where records must be seen, `HOST:PORT` each; empty: at all servers that the zone names.
    pub seen_at: Vec<String>,
    /// For how long that is waited for.
    pub patience: Duration,
    /// Where it is noted what was put.
    pub note: PathBuf,
}

/// A key that the name server knows too.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub algorithm: Algorithm,
    pub secret: Secret,
}

/// The bytes of a key; shown by nothing.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key as it is handed out: base64, with `+/` or `-_`, padded or not.
    pub fn of_base64(text: &str) -> Option<Self> {
        let text: String = text
            .trim()
            .trim_end_matches('=')
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                c => c,
            })
            .collect();
        let text = Zeroizing::new(text);
        STANDARD_NO_PAD.decode(text.as_bytes()).ok().filter(|bytes| !bytes.is_empty()).map(Self::new)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How updates are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// A record that proves something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proof {
    pub name: String,
    pub value: String,
}

/// What could not be done at a name server.
#[derive(Debug, thiserror::Error)]
pub enum DnsFault {
    #[error("{0} is no name")]
    Name(String),
    #[error("{name} is not in the zone {zone}")]
    Elsewhere { name: String, zone: String },
    #[error("{server} does not answer: {source}")]
    Away { server: String, source: io::Error },
    #[error("{server} answers with what cannot be read: {why}")]
    Garbled { server: String, why: String },
    #[error("{server} refuses the update of {zone}: {code}")]
    Refused { server: String, zone: String, code: ResponseCode },
    #[error("after {} s {server} does not show {name}", waited.as_secs())]
    Unseen { server: String, name: String, waited: Duration },
    #[error("it cannot be noted what is put into the zone: {0}")]
    Note(#[from] files::FileFault),
    #[error("the zone {zone} names no server that has an address")]
    NoServers { zone: String },
}

impl From<DnsFault> for Failure {
    fn from(fault: DnsFault) -> Self {
        Self { why: fault.to_string(), class: None, wait: None }
    }
}

impl Zone {
    /// Puts records there, and waits until every server that an authority may ask shows them.
    pub async fn put(&self, proofs: &BTreeSet<Proof>) -> Result<(), DnsFault> {
        let mut noted = noted(&self.note)?;
        noted.extend(proofs.iter().cloned());
        note(&self.note, &noted)?;
        for proof in proofs {
            self.update(update_message::append(self.records(proof)?, self.zone()?, false, false)).await?;
        }
        let deadline = Instant::now() + self.patience;
        for server in self.servers().await? {
            for proof in proofs {
                self.until_seen(&server, proof, deadline).await?;
            }
        }
        Ok(())
    }

    /// Takes back whatever is noted; others' records at the same names stay.
    pub async fn take_back(&self) -> Result<(), DnsFault> {
        let mut noted = noted(&self.note)?;
        while let Some(proof) = noted.first().cloned() {
            match self.records(&proof) {
                Ok(records) => self.update(update_message::delete_by_rdata(records, self.zone()?, false)).await?,
                // Of another zone, which the manifest named before.
                Err(fault) => tracing::warn!(%fault, "a record stays, which was put somewhere else"),
            }
            noted.remove(&proof);
            note(&self.note, &noted)?;
        }
        Ok(())
    }

    fn zone(&self) -> Result<Name, DnsFault> {
        name(&self.name)
    }

    fn records(&self, proof: &Proof) -> Result<RecordSet, DnsFault> {
        let place = name(&proof.name)?;
        if !self.zone()?.zone_of(&place) {
            return Err(DnsFault::Elsewhere { name: proof.name.clone(), zone: self.name.clone() });
        }
        Ok(RecordSet::from(Record::from_rdata(place, TTL, RData::TXT(TXT::new(vec![proof.value.clone()])))))
    }

    async fn update(&self, mut message: Message) -> Result<(), DnsFault> {
        let garbled = |why: String| DnsFault::Garbled { server: self.server.clone(), why };
        let algorithm = match self.key.algorithm {
            Algorithm::Sha256 => TsigAlgorithm::HmacSha256,
            Algorithm::Sha384 => TsigAlgorithm::HmacSha384,
            Algorithm::Sha512 => TsigAlgorithm::HmacSha512,
        };
        let signer = TSigner::new(self.key.secret.0.to_vec(), algorithm, name(&self.key.name)?, FUDGE);
        let signer = signer.map_err(|error| garbled(error.to_string()))?;
        let now = SystemClock.now().since(Timestamp::from_unix_millis(0)).as_secs();
        let verifier = message.finalize(&signer, now).map_err(|error| garbled(error.to_string()))?;
        let bytes = exchange(&self.server, &message).await?;
        let answer = Message::from_vec(&bytes).map_err(|error| garbled(error.to_string()))?;
        if answer.response_code != ResponseCode::NoError {
            let (server, zone) = (self.server.clone(), self.name.clone());
            return Err(DnsFault::Refused { server, zone, code: answer.response_code });
        }
        // Only whoever knows the key may say that it was done.
        if let Some(mut verifier) = verifier {
            verifier.verify(&bytes).map_err(|error| garbled(error.to_string()))?;
        }
        Ok(())
    }

    /// Whom authorities may ask.
    async fn servers(&self) -> Result<Vec<String>, DnsFault> {
        if !self.seen_at.is_empty() {
            return Ok(self.seen_at.clone());
        }
        let answer = ask(&self.server, self.zone()?, RecordType::NS).await?;
        let named = answer.answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => Some(format!("{}:53", server.0.to_ascii().trim_end_matches('.'))),
            _ => None,
        });
        let named: Vec<String> = named.collect();
        if named.is_empty() {
            return Err(DnsFault::NoServers { zone: self.name.clone() });
        }
        Ok(named)
    }

    async fn until_seen(&self, server: &str, proof: &Proof, deadline: Instant) -> Result<(), DnsFault> {
        loop {
            let seen = texts(server, &proof.name).await.map(|found| found.contains(&proof.value));
            match seen {
                Ok(true) => return Ok(()),
                Err(fault) if Instant::now() >= deadline => return Err(fault),
                Ok(false) if Instant::now() >= deadline => {
                    let (server, name) = (server.to_owned(), proof.name.clone());
                    return Err(DnsFault::Unseen { server, name, waited: self.patience });
                }
                _ => sleep(PAUSE).await,
            }
        }
    }
}

/// Where the record that proves a name belongs.
pub fn place_of(host: &str) -> String {
    format!("_acme-challenge.{}", host.trim_start_matches("*."))
}

/// The texts that this server (`HOST:PORT`) shows at a name.
pub async fn texts(server: &str, place: &str) -> Result<Vec<String>, DnsFault> {
    let answer = ask(server, name(place)?, RecordType::TXT).await?;
    let text = |record: &Record| match &record.data {
        RData::TXT(text) => {
            let bytes: Vec<u8> = text.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
            String::from_utf8(bytes).ok()
        }
        _ => None,
    };
    Ok(answer.answers.iter().filter_map(text).collect())
}

fn name(text: &str) -> Result<Name, DnsFault> {
    let mut name = Name::from_ascii(text).map_err(|_| DnsFault::Name(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

async fn ask(server: &str, name: Name, kind: RecordType) -> Result<Message, DnsFault> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name, kind));
    let bytes = exchange(server, &message).await?;
    Message::from_vec(&bytes).map_err(|error| DnsFault::Garbled { server: server.to_owned(), why: error.to_string() })
}

/// One message and its answer, each with its length before it (RFC 1035, section 4.2.2).
async fn exchange(server: &str, message: &Message) -> Result<Vec<u8>, DnsFault> {
    let away = |source: io::Error| DnsFault::Away { server: server.to_owned(), source };
    let question =
        message.to_vec().map_err(|error| DnsFault::Garbled { server: server.to_owned(), why: error.to_string() })?;
    let talk = async {
        let address: SocketAddr =
            lookup_host(server).await?.next().ok_or_else(|| io::Error::other("it has no address"))?;
        let mut stream = TcpStream::connect(address).await?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    match timeout(ANSWER, talk).await {
        Ok(answer) => answer.map_err(away),
        Err(_) => Err(away(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))),
    }
}

/// What was put and not taken back yet. A damaged note is told and forgotten: what it was of ends with the order.
fn noted(path: &Path) -> Result<BTreeSet<Proof>, DnsFault> {
    let Some(bytes) = files::read_if_exists(path)? else { return Ok(BTreeSet::new()) };
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), %error, "records may be left in the zone: their note is damaged");
        BTreeSet::new()
    }))
}

fn note(path: &Path, proofs: &BTreeSet<Proof>) -> Result<(), DnsFault> {
    if proofs.is_empty() {
        if files::exists(path) {
            files::remove(path)?;
        }
        return Ok(());
    }
    let bytes = serde_json::to_vec(proofs).expect("texts encode");
    Ok(files::write_durable(path, &bytes, Access::Owner)?)
}
