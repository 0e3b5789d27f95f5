//! The signed result of a check: about one commit of one product, at one time, by one key.
//!
//! A line of JSON and under it the signature of that line as `ssh-keygen -Y sign` makes it, so that `ssh-keygen -Y verify` can say the
//! same without this program. It lies in git, under a ref of its own: it is pushed and fetched like everything else.

use std::time::Duration;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::login::signature::{self, NotSigned};

/// No signature made for anything else will do.
pub const NAMESPACE: &str = "roadbed-check";

/// Longer is no result. One has less than a kibibyte.
pub const LONGEST: usize = 16 << 10;

/// Clocks of two machines differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

const VERSION: u32 = 1;

const ARMOUR: &str = "\n-----BEGIN SSH SIGNATURE-----\n";

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub version: u32,
    /// The product's name in the manifest.
    pub product: String,
    pub check: String,
    pub commit: String,
    /// The files of that commit.
    pub tree: String,
    /// Only what changed since this commit was checked; `None`: everything was.
    pub base: Option<String>,
    pub passed: bool,
    pub at: Timestamp,
}

/// What a result has to be about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    pub product: &'e str,
    pub check: &'e str,
    pub commit: &'e str,
    pub tree: &'e str,
    /// Lines of `.pub` files.
    pub keys: &'e [String],
    pub max_age: Duration,
    pub now: Timestamp,
}

/// Why a result is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    #[error("it is no result of a check")]
    Unreadable,
    #[error("its signature is not accepted: {0}")]
    Signature(NotSigned),
    #[error("it is signed with a key that `keys` of [ci.protection] does not have")]
    UnknownKey,
    #[error("it is about {what} {is}, not {wanted}")]
    Other { what: &'static str, is: String, wanted: String },
    #[error("it is of {at}, which is older than `max_age` of [ci.protection] allows")]
    Expired { at: Timestamp },
    #[error("it is of {at}, which is in the future")]
    Future { at: Timestamp },
}

/// The ref that has the result of a check of a commit.
pub fn reference(commit: &str, check: &str) -> String {
    format!("refs/checks/{commit}/{check}")
}

/// Commit and check of such a ref.
pub fn of_reference(reference: &str) -> Option<(&str, &str)> {
    let (commit, check) = reference.strip_prefix("refs/checks/")?.split_once('/')?;
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_commit && manifest::is_check_name(check)).then_some((commit, check))
}

impl Statement {
    pub fn new(
        product: &str,
        check: &str,
        [commit, tree]: [String; 2],
        base: Option<String>,
        passed: bool,
        at: Timestamp,
    ) -> Self {
        Self { version: VERSION, product: product.to_owned(), check: check.to_owned(), commit, tree, base, passed, at }
    }

    /// The line that is signed.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// With its signature.
    pub fn sealed(&self, signature: &str) -> String {
        format!("{}\n{}\n", self.line(), signature.trim())
    }
}

/// What a result says, if it is about what is expected and somebody signed it whose signature counts.
pub fn believed(text: &[u8], expected: &Expected<'_>) -> Result<Statement, Unbelieved> {
    let (statement, line, armoured) = parts(text).ok_or(Unbelieved::Unreadable)?;
    let signer = signature::signer(armoured, NAMESPACE, line.as_bytes()).map_err(Unbelieved::Signature)?;
    if !expected.keys.iter().any(|key| signer.is(key)) {
        return Err(Unbelieved::UnknownKey);
    }
    let same = |what, is: &str, wanted: &str| match is == wanted {
        true => Ok(()),
        false => Err(Unbelieved::Other { what, is: is.to_owned(), wanted: wanted.to_owned() }),
    };
    same("the product", &statement.product, expected.product)?;
    same("the check", &statement.check, expected.check)?;
    same("the commit", &statement.commit, expected.commit)?;
    same("the files", &statement.tree, expected.tree)?;
    let at = statement.at;
    if at.since(expected.now) > SKEW {
        return Err(Unbelieved::Future { at });
    }
    if expected.now.since(at) > expected.max_age {
        return Err(Unbelieved::Expired { at });
    }
    Ok(statement)
}

/// What a result says of itself, believed or not.
pub fn claimed(text: &[u8]) -> Option<Statement> {
    parts(text).map(|(statement, ..)| statement)
}

fn parts(text: &[u8]) -> Option<(Statement, &str, &str)> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST)?;
    let end = text.find(ARMOUR)?;
    let (line, armoured) = (&text[..end], &text[end + 1..]);
    let statement: Statement = serde_json::from_str(line).ok()?;
    (statement.version == VERSION).then_some((statement, line, armoured))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;
    use ssh_key::public::{Ed25519PublicKey, KeyData};
    use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn pair(seed: u8) -> (Ed25519KeyPair, KeyData) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = KeyData::from(Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap()));
        (pair, key)
    }

    fn public(seed: u8) -> String {
        PublicKey::from(pair(seed).1).to_openssh().unwrap()
    }

    fn signed(seed: u8, namespace: &str, line: &str) -> String {
        let (pair, key) = pair(seed);
        let asked = SshSig::signed_data(namespace, HashAlg::Sha512, line.as_bytes()).unwrap();
        let signature = Signature::new(Algorithm::Ed25519, pair.sign(&asked).as_ref().to_vec()).unwrap();
        SshSig::new(key, namespace, HashAlg::Sha512, signature).unwrap().to_pem(LineEnding::LF).unwrap()
    }

    fn statement() -> Statement {
        let ids = ["a".repeat(40), "b".repeat(40)];
        Statement::new(
            "shop",
            "required",
            ids,
            Some("c".repeat(40)),
            true,
            Timestamp::from_unix_millis(NOW.unix_millis() - 1000),
        )
    }

    fn held<'h>(text: &[u8], change: impl FnOnce(&mut Expected<'h>)) -> Result<Statement, Unbelieved> {
        // As long as the test.
        let (commit, tree) = ("a".repeat(40).leak(), "b".repeat(40).leak());
        let keys: &'static [String] = vec![public(1), public(2)].leak();
        let mut expected = Expected { product: "shop", check: "required", commit, tree, keys, max_age: DAY, now: NOW };
        change(&mut expected);
        believed(text, &expected)
    }

    #[test]
    fn a_result_is_believed_of_what_it_is_about_and_of_nothing_else() {
        let of = statement();
        let text = of.sealed(&signed(2, NAMESPACE, &of.line()));
        assert_eq!(held(text.as_bytes(), |_| {}), Ok(of));
        let other: &str = "d".repeat(40).leak();
        let is_other = |found: Result<Statement, Unbelieved>, about: &str| {
            assert!(matches!(&found, Err(Unbelieved::Other { what, .. }) if *what == about), "{about}: {found:?}");
        };
        is_other(held(text.as_bytes(), |expected| expected.product = "other"), "the product");
        is_other(held(text.as_bytes(), |expected| expected.check = "e2e"), "the check");
        is_other(held(text.as_bytes(), |expected| expected.commit = other), "the commit");
        is_other(held(text.as_bytes(), |expected| expected.tree = other), "the files");
        let later = |millis| Timestamp::from_unix_millis(NOW.unix_millis() + millis);
        assert!(matches!(held(text.as_bytes(), |e| e.now = later(86_400_000)), Err(Unbelieved::Expired { .. })));
        assert!(matches!(held(text.as_bytes(), |e| e.now = later(-400_000)), Err(Unbelieved::Future { .. })));
        assert!(held(text.as_bytes(), |e| e.now = later(-200_000)).is_ok(), "clocks differ a little");
    }

    #[test]
    fn only_a_key_of_the_manifest_signs_and_only_what_it_saw() {
        let of = statement();
        let line = of.line();
        let text = of.sealed(&signed(2, NAMESPACE, &line));
        assert_eq!(held(text.as_bytes(), |e| e.keys = &[]), Err(Unbelieved::UnknownKey), "a key that was revoked");
        let stranger = of.sealed(&signed(3, NAMESPACE, &line));
        assert_eq!(held(stranger.as_bytes(), |_| {}), Err(Unbelieved::UnknownKey));
        let for_login = of.sealed(&signed(2, "roadbed-login@x", &line));
        assert_eq!(held(for_login.as_bytes(), |_| {}), Err(Unbelieved::Signature(NotSigned::Namespace)));
        let forged = text.replace("\"passed\":true", "\"passed\":null").replace("null,\"at\"", "false,\"at\"");
        assert_ne!(forged, text);
        assert_eq!(held(forged.as_bytes(), |_| {}), Err(Unbelieved::Signature(NotSigned::Wrong)));
        let more = text.replacen("{\"version\"", "{\"more\":1,\"version\"", 1);
        assert_eq!(held(more.as_bytes(), |_| {}), Err(Unbelieved::Unreadable));
        assert_eq!(held(b"", |_| {}), Err(Unbelieved::Unreadable));
        assert_eq!(held(&vec![b'x'; LONGEST + 1], |_| {}), Err(Unbelieved::Unreadable));
    }

    #[test]
    fn a_ref_names_commit_and_check() {
        let commit = "a".repeat(40);
        assert_eq!(of_reference(&reference(&commit, "end-to-end")), Some((commit.as_str(), "end-to-end")));
        for wrong in [
            format!("refs/checks/{commit}"),
            format!("refs/checks/{commit}/a/b"),
            format!("refs/checks/{commit}/../x"),
            "refs/checks/ab/required".to_owned(),
            format!("refs/heads/{commit}/required"),
        ] {
            assert_eq!(of_reference(&wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = held(&bytes, |_| {});
        }
    }
}
