//! Makes a secret of a rule's form, so that no secret-looking literal stands in the repository.
//!
//! `sk_live_{alnum:24}` is literal text and 24 random characters. Besides character sets there are `{uuid}` and `{jwt}`.

/// A source of random bits that a test can repeat.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64: good enough to plant, never to make a credential.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).expect("a count fits")).expect("below a count")
    }

    fn text(&mut self, set: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(set[self.below(set.len())])).collect()
    }
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGIT: &[u8] = b"0123456789";

fn set(name: &str) -> Vec<u8> {
    match name {
        "alnum" => [UPPER, LOWER, DIGIT].concat(),
        "lowernum" => [LOWER, DIGIT].concat(),
        "uppernum" => [UPPER, DIGIT].concat(),
        "digit" => DIGIT.to_vec(),
        "hex" => [DIGIT, b"abcdef"].concat(),
        "HEX" => [DIGIT, b"ABCDEF"].concat(),
        "b64" => [UPPER, LOWER, DIGIT, b"+/"].concat(),
        "b64url" => [UPPER, LOWER, DIGIT, b"-_"].concat(),
        "base32" => [UPPER, b"234567"].concat(),
        "bech32" => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".to_vec(),
        other => panic!("no such character set: {other}"),
    }
}

/// One secret of the form that `spec` describes, with whatever stands around it there.
pub fn make(spec: &str, dice: &mut Dice) -> String {
    let mut text = String::new();
    let mut rest = spec;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let part = rest.find('}').map(|close| &rest[1..close]).unwrap_or_default();
        let is_random = part == "uuid"
            || part == "jwt"
            || part.split_once(':').is_some_and(|(name, length)| {
                name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && length.parse::<usize>().is_ok()
            });
        if is_random {
            text.push_str(&random(part, dice));
            rest = &rest[part.len() + 2..];
        } else {
            // JSON has braces of its own.
            text.push('{');
            rest = &rest[1..];
        }
    }
    text + rest
}

fn random(part: &str, dice: &mut Dice) -> String {
    match part {
        "uuid" => [8, 4, 4, 4, 12].map(|length| dice.text(&set("hex"), length)).join("-"),
        // The header says {"alg":"HS256","typ":"JWT"}, the body begins with {".
        "jwt" => format!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{}.{}",
            dice.text(&set("alnum"), 80),
            dice.text(&set("b64url"), 43)
        ),
        _ => {
            let (name, length) = part.split_once(':').expect("a character set and a length");
            dice.text(&set(name), length.parse().expect("a length is a number"))
        }
    }
}
