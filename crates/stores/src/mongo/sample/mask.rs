//! What becomes of one value: something that looks like it, by a key that nobody has afterwards.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use manifest::Mask;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Bson, Decimal128};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::proof::Proof;

/// So often another one is made where the first is somebody's already. A draw in 2³¹ that meets one of ten thousand does not do so
/// five times running.
const MOST_DRAWS: u32 = 64;

/// A text says no more than so many words.
const MOST_WORDS: usize = 60;

/// Makes masked values. The same value becomes the same for as long as this lives; what it works with goes with it.
pub(super) struct Masker<'p> {
    key: Zeroizing<[u8; 32]>,
    /// What came in: nothing of it may come out.
    proof: &'p Proof,
    made: BTreeMap<(Mask, Vec<u8>), Option<Bson>>,
    /// Of the masks that keep values apart, as the server compares them.
    given: BTreeSet<(Mask, String)>,
}

/// Bytes that follow from the key, a mask and a value.
struct Draw {
    bytes: [u8; 32],
    at: usize,
}

impl Draw {
    fn byte(&mut self) -> u8 {
        let byte = self.bytes[self.at % self.bytes.len()];
        self.at += 1;
        byte
    }

    fn hex(&self, digits: usize) -> String {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex[..digits].to_owned()
    }

    fn number(&self) -> u64 {
        u64::from_be_bytes(self.bytes[..8].try_into().expect("eight of thirty-two"))
    }

    /// A word that is in no language: consonants and vowels in turn.
    fn word(&mut self) -> String {
        let syllables = 2 + usize::from(self.byte() % 2);
        let mut word = String::with_capacity(2 * syllables);
        for _ in 0..syllables {
            let (consonant, vowel) = (self.byte(), self.byte());
            word.push(char::from(b"bdfgklmnprstvz"[usize::from(consonant) % 14]));
            word.push(char::from(b"aeiou"[usize::from(vowel) % 5]));
        }
        word
    }

    fn capital(&mut self) -> String {
        let word = self.word();
        word[..1].to_uppercase() + &word[1..]
    }
}

impl<'p> Masker<'p> {
    pub(super) fn new(key: Zeroizing<[u8; 32]>, proof: &'p Proof) -> Self {
        Self { key, proof, made: BTreeMap::new(), given: BTreeSet::new() }
    }

    /// What leaves in place of a value; `None`: nothing does, since the value is not of a kind that the mask is for.
    pub(super) fn mask(&mut self, mask: Mask, value: &Bson) -> Option<Bson> {
        match (mask, value) {
            // Nothing tells nothing.
            (Mask::Keep, _) | (_, Bson::Null | Bson::Undefined) => return Some(value.clone()),
            // A document under a name that has a mask: what of it leaves was not said.
            (_, Bson::Document(_) | Bson::Array(_)) => return None,
            _ => {}
        }
        let seed = value_bytes(value)?;
        let known = (mask, seed);
        if let Some(made) = self.made.get(&known) {
            return made.clone();
        }
        let mut made = None;
        for draw in 0..MOST_DRAWS {
            made = self.make(mask, value, &known.1, draw);
            let Some(value) = &made else { break };
            let is_fine = match mask {
                Mask::NumberNoise => true,
                _ => !self.proof.finds(value) && (!mask.keeps_apart() || self.given.insert((mask, value.to_string()))),
            };
            if is_fine {
                break;
            }
            made = None;
        }
        self.made.insert(known, made.clone());
        made
    }

    fn draw(&self, mask: Mask, seed: &[u8], draw: u32) -> Draw {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("a key of any length will do");
        mac.update(mask.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(&draw.to_be_bytes());
        mac.update(seed);
        Draw { bytes: mac.finalize().into_bytes().into(), at: 0 }
    }

    fn make(&self, mask: Mask, value: &Bson, seed: &[u8], draw: u32) -> Option<Bson> {
        let mut drawn = self.draw(mask, seed, draw);
        let text = match (mask, value) {
            (Mask::Keep, _) => return Some(value.clone()),
            (Mask::Id, _) => return identifier(value, &drawn),
            (Mask::NumberNoise, _) => return noise(value, &drawn),
            (_, Bson::String(text) | Bson::Symbol(text)) => text,
            _ => return None,
        };
        Some(Bson::String(match mask {
            Mask::Email => format!("{}@masked.invalid", drawn.hex(20)),
            Mask::Name => format!("{} {}", drawn.capital(), drawn.capital()),
            Mask::Address => {
                let (street, town) = (drawn.capital(), drawn.capital());
                format!("{street}weg {}, {:05} {town}", 1 + drawn.byte() % 99, drawn.number() % 100_000)
            }
            // No country has 999.
            Mask::Phone => format!("+999 {:010}", drawn.number() % 10_000_000_000),
            Mask::PaymentReference => format!("masked_{}", drawn.hex(24)),
            _ => {
                let words = text.split_whitespace().count().clamp(1, MOST_WORDS);
                let word = |at: usize| self.draw(mask, &[seed, &at.to_be_bytes()].concat(), draw).word();
                (0..words).map(word).collect::<Vec<_>>().join(" ")
            }
        }))
    }
}

/// An identifier of the same type and form.
fn identifier(value: &Bson, drawn: &Draw) -> Option<Bson> {
    Some(match value {
        Bson::String(text) if is_uuid(text) => Bson::String(uuid(drawn)),
        Bson::String(_) | Bson::Symbol(_) => Bson::String(drawn.hex(24)),
        Bson::ObjectId(_) => {
            Bson::ObjectId(ObjectId::from_bytes(drawn.bytes[..12].try_into().expect("twelve of thirty-two")))
        }
        Bson::Int32(_) => Bson::Int32(i32::try_from(drawn.number() >> 33).expect("31 bits are left")),
        // What JavaScript holds exactly.
        Bson::Int64(_) => Bson::Int64(i64::try_from(drawn.number() >> 11).expect("53 bits are left")),
        Bson::Binary(binary) if binary.bytes.len() == 16 => {
            Bson::Binary(Binary { subtype: binary.subtype, bytes: drawn.bytes[..16].to_vec() })
        }
        _ => return None,
    })
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn uuid(drawn: &Draw) -> String {
    let hex = drawn.hex(32);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// Up to a tenth more or less.
fn noise(value: &Bson, drawn: &Draw) -> Option<Bson> {
    // Twenty bits between -0.1 and 0.1.
    let share = f64::from(u32::try_from(drawn.number() >> 44).expect("20 bits are left")) / f64::from(1_u32 << 20);
    let noisy = |number: f64| number * (0.9 + 0.2 * share);
    Some(match value {
        Bson::Double(number) => Bson::Double(noisy(*number)),
        #[expect(clippy::cast_possible_truncation, reason = "a number that is a tenth larger at most, and clamped")]
        Bson::Int32(number) => Bson::Int32(noisy(f64::from(*number)).round() as i32),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "what it is exactly is what nobody shall know"
        )]
        Bson::Int64(number) => Bson::Int64(noisy(*number as f64).round() as i64),
        Bson::Decimal128(number) => {
            let text = number.to_string();
            let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            let noisy = format!("{:.decimals$}", noisy(text.parse().ok()?));
            Bson::Decimal128(noisy.parse::<Decimal128>().ok()?)
        }
        _ => return None,
    })
}

/// What tells a value from every other, its type included.
fn value_bytes(value: &Bson) -> Option<Vec<u8>> {
    mongodb::bson::doc! { "v": value.clone() }.to_vec().ok()
}
