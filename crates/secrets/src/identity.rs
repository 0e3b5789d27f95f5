//! Keys of those who may open a store: public ones that something is sealed to, private ones that open it. The format is age's.
//!
//! Taken are age's own X25519 keys and ssh-ed25519 keys. RSA keys are refused: the crate that would work with them has a known
//! timing leak (RUSTSEC-2023-0071).

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use age::secrecy::ExposeSecret;
use host::files::{self, Access, FileFault};
use zeroize::{Zeroize, Zeroizing};

/// Whom something can be sealed to.
#[derive(Clone)]
pub enum PublicKey {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

/// Why a text is no key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    #[error("an ssh-rsa key cannot be used: give an age or an ssh-ed25519 key")]
    Rsa,
    #[error("it is neither an age recipient (age1…) nor an ssh-ed25519 public key")]
    Unknown,
    #[error("it is a private key: give the public one, which may be seen by all")]
    Private,
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let text = text.trim();
        if text.starts_with("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY") {
            return Err(NotAKey::Private);
        }
        if text.starts_with("age1") {
            return text.parse().map(Self::Age).map_err(|_| NotAKey::Unknown);
        }
        if text.starts_with("ssh-rsa") {
            return Err(NotAKey::Rsa);
        }
        // Nothing else reaches the parser of SSH keys.
        if !text.starts_with("ssh-ed25519 ") {
            return Err(NotAKey::Unknown);
        }
        match text.parse() {
            Ok(key @ age::ssh::Recipient::SshEd25519(..)) => Ok(Self::Ssh(key)),
            _ => Err(NotAKey::Unknown),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(key) => key.fmt(f),
            Self::Ssh(key) => key.fmt(f),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PublicKey {
    fn as_age(&self) -> &dyn age::Recipient {
        match self {
            Self::Age(key) => key,
            Self::Ssh(key) => key,
        }
    }
}

/// Seals `plain` to every one of `keys`, each of which opens it alone.
pub fn wrap(keys: &[&PublicKey], plain: &[u8]) -> Result<Vec<u8>, CannotWrap> {
    let encryptor = age::Encryptor::with_recipients(keys.iter().map(|key| key.as_age()))
        .map_err(|error| CannotWrap(error.to_string()))?;
    let mut wrapped = Vec::new();
    let written = encryptor.wrap_output(&mut wrapped).and_then(|mut writer| {
        writer.write_all(plain)?;
        writer.finish()
    });
    written.map_err(|error| CannotWrap(error.to_string()))?;
    Ok(wrapped)
}

/// As [`wrap`], as a text that survives mail and terminals.
pub fn wrap_as_text(keys: &[&PublicKey], plain: &[u8]) -> Result<String, CannotWrap> {
    as_text(&wrap(keys, plain)?).map_err(|error| CannotWrap(error.to_string()))
}

pub(crate) fn as_text(wrapped: &[u8]) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut writer = age::armor::ArmoredWriter::wrap_output(&mut text, age::armor::Format::AsciiArmor)?;
    writer.write_all(wrapped)?;
    writer.finish()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What [`wrap_as_text`] wrote as text; `None` if it is not that.
pub fn of_text(text: &str) -> Option<Vec<u8>> {
    let mut wrapped = Vec::new();
    age::armor::ArmoredReader::new(text.as_bytes()).read_to_end(&mut wrapped).ok()?;
    Some(wrapped)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot seal to these keys: {0}")]
pub struct CannotWrap(String);

/// Who can open what is sealed to them. No `Debug`.
#[expect(missing_debug_implementations, reason = "a private key is never shown")]
pub struct PrivateKey(Kind);

enum Kind {
    Age(age::x25519::Identity),
    Ssh(age::ssh::Identity),
}

/// How a file of a private SSH key begins.
const SSH_HEAD: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// How one goes on that holds an ed25519 key and is not locked: the base64 of `openssh-key-v1`, no cipher, no derivation, one key,
/// its length and `ssh-ed25519` (OpenSSH's PROTOCOL.key). Everything else, RSA above all, reaches no parser.
const SSH_ED25519: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ";

/// How one goes on whose cipher has a name of ten letters, as `aes256-ctr`: it is locked by a passphrase.
const SSH_LOCKED: &str = "b3BlbnNzaC1rZXktdjEAAAAACm";

/// A file of a private key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    #[error("cannot use the key of a recipient")]
    File(#[from] FileFault),
    #[error("{} holds no age or ssh-ed25519 private key", path.display())]
    Unknown { path: PathBuf },
    #[error("the key in {} is locked by a passphrase", path.display())]
    Locked { path: PathBuf },
}

impl PrivateKey {
    /// Reads an age identity or an unlocked ssh-ed25519 key. `None` if there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, IdentityFault> {
        let Some(bytes) = files::read_if_exists(path)? else { return Ok(None) };
        let bytes = Zeroizing::new(bytes);
        let unknown = || IdentityFault::Unknown { path: path.to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| unknown())?;
        if text.contains("-----BEGIN") {
            return Self::of_ssh(text, path).map(Some);
        }
        let line = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1")).ok_or_else(unknown)?;
        line.parse().map(|key| Some(Self(Kind::Age(key)))).map_err(|_| unknown())
    }

    fn of_ssh(text: &str, path: &Path) -> Result<Self, IdentityFault> {
        let body: String = text.lines().skip_while(|line| !line.starts_with(SSH_HEAD)).skip(1).take(2).collect();
        if body.starts_with(SSH_LOCKED) {
            return Err(IdentityFault::Locked { path: path.to_owned() });
        }
        let key = match body.starts_with(SSH_ED25519) {
            true => age::ssh::Identity::from_buffer(text.as_bytes(), None).ok(),
            false => None,
        };
        key.map(|key| Self(Kind::Ssh(key))).ok_or_else(|| IdentityFault::Unknown { path: path.to_owned() })
    }

    /// A key that is kept nowhere: whoever is a stranger to every store.
    pub fn of_a_stranger() -> Self {
        Self(Kind::Age(age::x25519::Identity::generate()))
    }

    /// Reads the identity at `path`, made first if there is none. Of several who make it at once, one does.
    pub fn ensure(path: &Path) -> Result<Self, IdentityFault> {
        // The temporary file bears the name of the process.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let fresh = age::x25519::Identity::generate();
        let folder = path.parent().unwrap_or(Path::new("."));
        files::create_dir(folder, Access::Owner)?;
        let mut text = format!("# public key: {}\n", fresh.to_public());
        // Of its final size at once: a text that grows leaves copies behind.
        let secret = fresh.to_string();
        text.reserve_exact(secret.expose_secret().len() + 1);
        text.push_str(secret.expose_secret());
        text.push('\n');
        let made = files::write_new(path, text.as_bytes(), Access::Owner);
        text.zeroize();
        made?;
        Self::read(path)?.ok_or_else(|| IdentityFault::Unknown { path: path.to_owned() })
    }

    /// The public half; `None` for an SSH key, whose public half has a file of its own.
    pub fn public(&self) -> Option<PublicKey> {
        match &self.0 {
            Kind::Age(key) => Some(PublicKey::Age(key.to_public())),
            Kind::Ssh(_) => None,
        }
    }

    /// Opens what was sealed to this key; `None` if it was not, or was changed.
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let identity: &dyn age::Identity = match &self.0 {
            Kind::Age(key) => key,
            Kind::Ssh(key) => key,
        };
        let mut reader = age::Decryptor::new_buffered(wrapped).ok()?.decrypt(std::iter::once(identity)).ok()?;
        // Never longer than what is wrapped, so it does not grow.
        let mut plain = Zeroizing::new(Vec::with_capacity(wrapped.len()));
        reader.read_to_end(&mut plain).ok()?;
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_sealed_to_two_opens_for_each_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, three] =
            ["one", "two", "three"].map(|name| PrivateKey::ensure(&folder.path().join(name)).unwrap());
        let keys = [one.public().unwrap(), two.public().unwrap()];
        let wrapped = wrap(&[&keys[0], &keys[1]], b"the key").unwrap();
        for key in [&one, &two] {
            assert_eq!(key.unwrap(&wrapped).unwrap().as_slice(), b"the key");
        }
        assert!(three.unwrap(&wrapped).is_none());
    }

    #[test]
    fn an_identity_is_made_once_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/identity");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| PrivateKey::ensure(&path).unwrap())).collect();
            asking.into_iter().map(|key| key.join().unwrap().public().unwrap().to_string()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(files::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn keys_that_cannot_be_used_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        PrivateKey::ensure(&path).unwrap();
        let private = files::read_string(&path).unwrap().lines().nth(1).unwrap().to_owned();
        for (text, why) in [
            ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ", NotAKey::Rsa),
            (private.as_str(), NotAKey::Private),
            ("", NotAKey::Unknown),
            ("age1", NotAKey::Unknown),
            ("ssh-ed25519 AAAA", NotAKey::Unknown),
            ("ecdsa-sha2-nistp256 AAAA", NotAKey::Unknown),
        ] {
            assert_eq!(text.parse::<PublicKey>().unwrap_err(), why, "{why:?}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this is how people make such keys")]
    fn a_key_of_ssh_opens_what_is_sealed_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id_ed25519");
        let made =
            std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
        // Not everybody has ssh-keygen; the keys themselves are age's to test.
        let Ok(true) = made.map(|status| status.success()) else { return };
        let public: PublicKey = files::read_string(&path.with_extension("pub")).unwrap().parse().unwrap();
        let wrapped = wrap(&[&public], b"the key").unwrap();
        assert_eq!(PrivateKey::read(&path).unwrap().unwrap().unwrap(&wrapped).unwrap().as_slice(), b"the key");
    }

    #[test]
    fn an_rsa_key_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id_rsa");
        files::write(&path, b"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n", Access::Owner)
            .unwrap();
        assert!(matches!(PrivateKey::read(&path), Err(IdentityFault::Unknown { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_keys_panic(text in "\\PC{0,80}", head in prop::sample::select(vec!["", "age1", "ssh-ed25519 ", "ssh-rsa "])) {
            let _ = format!("{head}{text}").parse::<PublicKey>();
        }

        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let key = PrivateKey(Kind::Age(age::x25519::Identity::generate()));
            prop_assert!(key.unwrap(&bytes).is_none());
        }
    }
}
