//! The token: a user of Redis and its password, as one word that fits into a header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What every token begins with, so that people and searches for leaked keys know it.
pub const PREFIX: &str = "rbrd_";

/// The first byte: another one would be read otherwise.
const VERSION: u8 = 1;

/// Bytes of SHA-256 at the end. They tell a token that was cut or mistyped from a wrong one without asking Redis; they keep nobody out.
const CHECKSUM: usize = 4;

/// A token longer than this is none: names of users and passwords have at most 255 bytes each.
const LONGEST: usize = 1024;

/// Who a token logs in as.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    password: Zeroizing<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// A user and its password; `None` where one of them is too long for a token.
    pub fn new(user: &str, password: &str) -> Option<Self> {
        let fits = u8::try_from(user.len()).is_ok() && u8::try_from(password.len()).is_ok() && !user.is_empty();
        fits.then(|| Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The token that says so.
    pub fn token(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![VERSION, u8::try_from(self.user.len()).expect("it fits, see new")]);
        bytes.extend(self.user.as_bytes());
        bytes.extend(self.password.as_bytes());
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    /// Reads a token; `None` for what is none.
    pub fn read(token: &str) -> Option<Self> {
        let encoded = token.strip_prefix(PREFIX).filter(|encoded| encoded.len() <= LONGEST)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (said, found) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        if checksum(said) != found {
            return None;
        }
        let (&[version, length], rest) = said.split_first_chunk()?;
        let (user, password) = rest.split_at_checked(usize::from(length))?;
        if version != VERSION {
            return None;
        }
        Self::new(std::str::from_utf8(user).ok()?, std::str::from_utf8(password).ok()?)
    }
}

/// By what a token is known here: never the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token([u8; 32]);

impl Token {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

fn checksum(said: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::digest(said);
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_token_was_made_of_is_read_from_it(user in "[!-~]{1,60}", password in "\\PC{0,60}") {
            let login = Login::new(&user, &password).unwrap();
            prop_assert_eq!(Login::read(&login.token()), Some(login));
        }

        #[test]
        fn a_token_with_one_other_character_is_none(at in 0usize..60, other in "[A-Za-z0-9_-]") {
            let token = Login::new("app-api", "a-password-of-some-length-and-more").unwrap().token().to_string();
            let at = at.min(token.len() - 1);
            let mut changed = token.clone();
            changed.replace_range(at..=at, &other);
            prop_assume!(changed != token);
            prop_assert_eq!(Login::read(&changed), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(rbrd_)?\\PC{0,80}") {
            let _ = Login::read(&text);
        }
    }

    #[test]
    fn a_token_fits_into_a_header_and_shows_no_password() {
        let login = Login::new("app-api", "hunter2\n").unwrap();
        let token = login.token();
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()) && !token.contains("hunter2"));
        assert!(!format!("{login:?}").contains("hunter2"));
        assert_eq!(Login::new("", "x"), None);
        assert_eq!(Login::new("x", &"p".repeat(256)), None);
    }
}
