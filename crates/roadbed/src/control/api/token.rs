//! What a token looks like: `rbtk_`, 256 random bits, and a checksum, so that scanners find it wherever it was pasted and a mistyped
//! one is told from a wrong one without a look into any book.

use std::fmt;

use secrets::{Secret, generate};
use sha2::{Digest, Sha256};

/// How every token begins. `crates/leaks` has a rule for the whole of it.
pub const BEGINNING: &str = "rbtk_";

/// Hexadecimal digits of the random part.
const RANDOM: usize = 64;

/// Hexadecimal digits of the checksum behind it.
const CHECKSUM: usize = 8;

/// A token as its bearer has it. It is shown once.
pub struct Token(Secret);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What is kept of a token. Of 256 random bits nobody guesses what a digest is of, so it needs neither salt nor work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest(pub [u8; 32]);

impl Token {
    /// A fresh one.
    ///
    /// # Errors
    /// Where the machine gives no random numbers.
    pub fn make() -> Result<Self, getrandom::Error> {
        let random = generate::credential()?;
        Ok(Self(Secret::new(format!("{BEGINNING}{}{}", random.expose(), checksum(random.expose())))))
    }

    /// What somebody showed, if it has the form of one.
    pub fn read(text: &str) -> Option<Self> {
        let body = text.strip_prefix(BEGINNING)?;
        let is_hex = body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if body.len() != RANDOM + CHECKSUM || !is_hex {
            return None;
        }
        let (random, sum) = body.split_at(RANDOM);
        (checksum(random) == sum).then(|| Self(Secret::new(text.to_owned())))
    }

    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.expose().as_bytes()).into())
    }

    /// For its bearer.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

fn checksum(random: &str) -> String {
    let sum = Sha256::digest([BEGINNING.as_bytes(), random.as_bytes()].concat());
    sum.iter().take(CHECKSUM / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_and_a_mistyped_one_is_none() {
        let token = Token::make().unwrap();
        let text = token.expose().to_owned();
        assert_eq!(text.len(), BEGINNING.len() + RANDOM + CHECKSUM);
        assert_eq!(Token::read(&text).unwrap().digest(), token.digest());
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(Token::read(&mistyped).is_none(), "character {at}");
        }
        for none in ["", "rbtk_", &text[1..], &text[..text.len() - 1], &text.to_uppercase(), &format!("{text}0")] {
            assert!(Token::read(none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn no_two_are_the_same_and_none_is_in_a_debug_output() {
        let (one, other) = (Token::make().unwrap(), Token::make().unwrap());
        assert_ne!(one.digest(), other.digest());
        assert!(!format!("{one:?}").contains(one.expose()));
    }

    #[test]
    fn the_search_for_leaks_knows_it() {
        let token = Token::make().unwrap();
        let scanner = leaks::Scanner::new(leaks::Rules::ours(), None);
        let pasted = format!("curl -H 'authorization: Bearer {}' https://control.shop.example", token.expose());
        let hits = scanner.scan(pasted.as_bytes());
        assert!(hits.iter().any(|hit| format!("{hit:?}").contains("roadbed-token")), "{hits:?}");
    }
}
