//! The small things that tables are made of: names, durations, sizes, paths, commands.

use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::id::{
    AppName, BucketName, ChannelName, CollectionName, CopyName, EnvName, ExportName, MigrationName, MonitorName,
    NameRule, OwnerName, PersonName, ProductName, VarName,
};
use crate::naming::BranchSlug;
use crate::shape::{Definitions, Reader, Shape, Text, Value, text_shape};
use crate::tables::Per;
use crate::target::Instance;

macro_rules! name_text {
    ($($name:ty: $wants:literal, $stand_in:literal);+ $(;)?) => { $(
        impl Text for $name {
            const WANTS: &'static str = $wants;
            const PATTERN: Option<&'static str> = Some(<$name as NameRule>::PATTERN);
            fn read(text: &str) -> Result<Self, Option<String>> {
                Self::new(text).map_err(|fault| Some(fault.rule.to_owned()))
            }
            fn stand_in() -> Self {
                Self::new($stand_in).expect("the stand-in is a name")
            }
        }
        text_shape!($name);
    )+ };
}
name_text! {
    ProductName: "the name of a product", "unreadable";
    AppName: "the name of an app", "unreadable";
    EnvName: "the name of an environment", "unreadable";
    OwnerName: "the name of an owner", "unreadable";
    MonitorName: "the name of a monitor", "unreadable";
    ChannelName: "the name of a channel", "unreadable";
    ExportName: "the name of an export", "unreadable";
    CopyName: "the name of a second repository", "unreadable";
    PersonName: "the name of a person", "unreadable";
    BucketName: "the name of a bucket", "unreadable";
    CollectionName: "the name of a collection", "unreadable";
    MigrationName: "the name of a migration", "unreadable";
    VarName: "the name of a variable", "UNREADABLE";
}

impl Text for String {
    const WANTS: &'static str = "a text";
    fn read(text: &str) -> Result<Self, Option<String>> {
        if text.trim().is_empty() { Err(Some("it must not be empty".to_owned())) } else { Ok(text.to_owned()) }
    }
    fn stand_in() -> Self {
        String::new()
    }
}
text_shape!(String);

/// A branch of the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BranchName(pub(crate) String);

impl Text for BranchName {
    const WANTS: &'static str = "the name of a branch";
    const PATTERN: Option<&'static str> = Some(r"^[^\s~^:?*\[\\]+$");
    fn read(text: &str) -> Result<Self, Option<String>> {
        let allowed = |c: char| !c.is_whitespace() && !"~^:?*[\\".contains(c);
        if !text.is_empty() && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write one branch as git names it, without patterns".to_owned()))
        }
    }
    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(BranchName);

/// A public key of OpenSSH, of a kind that no weak key has: Ed25519, in a file or on a security key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshKey(pub(crate) String);

impl Text for SshKey {
    const WANTS: &'static str = "a public key of OpenSSH";
    const PATTERN: Option<&'static str> =
        Some(r"^(ssh-ed25519|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]{60,}={0,2}( .*)?$");
    const EXAMPLES: &'static [&'static str] = &["ssh-ed25519 AAAA… anna@laptop"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let mut words = text.split(' ');
        let kind = words.next().unwrap_or_default();
        let is_base64 = |body: &str| {
            body.len() >= 60
                && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        };
        if !["ssh-ed25519", "sk-ssh-ed25519@openssh.com"].contains(&kind) {
            return Err(Some(
                "write a line of an `id_ed25519.pub` or `id_ed25519_sk.pub`: no other kind is taken".to_owned(),
            ));
        }
        if words.next().is_some_and(is_base64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write the whole line of the `.pub` file".to_owned()))
        }
    }
    fn stand_in() -> Self {
        Self(String::new())
    }
}
text_shape!(SshKey);

impl Text for Duration {
    const WANTS: &'static str = "a duration such as \"10s\"";
    const PATTERN: Option<&'static str> = Some("^[1-9][0-9]*(ms|s|m|h)$");
    const EXAMPLES: &'static [&'static str] = &["500ms", "10s", "2m"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let hint = || Some("write a whole number and ms, s, m or h: \"500ms\", \"10s\", \"2m\"".to_owned());
        let (number, unit) = number_and_unit(text);
        let milliseconds_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(hint()),
        };
        // A day is longer than anything that Roadbed waits for, and far from any overflow.
        match number.and_then(|number| number.checked_mul(milliseconds_per_unit)) {
            Some(milliseconds @ 1..=86_400_000) => Ok(Self::from_millis(milliseconds)),
            Some(_) => Err(Some("it must be longer than nothing and at most \"24h\"".to_owned())),
            None => Err(hint()),
        }
    }
    fn stand_in() -> Self {
        Self::from_secs(1)
    }
}
text_shape!(Duration);

/// How old something may get: longer than a [`Duration`] that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(pub(crate) Duration);

impl Text for Age {
    const WANTS: &'static str = "an age such as \"90d\"";
    const PATTERN: Option<&'static str> = Some("^[1-9][0-9]*(s|m|h|d)$");
    const EXAMPLES: &'static [&'static str] = &["90d", "24h", "15m"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let (number, unit) = number_and_unit(text);
        let seconds_per_unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(Some("write a whole number and s, m, h or d: \"90d\", \"24h\", \"15m\"".to_owned())),
        };
        // Ten years: what is older than that is never rotated, which is better said with another word.
        match number.and_then(|number| number.checked_mul(seconds_per_unit)) {
            Some(seconds @ 1..=315_360_000) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(Some("it must be longer than nothing and at most \"3650d\"".to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self(Duration::from_secs(1))
    }
}
text_shape!(Age);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl Text for Bytes {
    const WANTS: &'static str = "a size such as \"256 MiB\"";
    const PATTERN: Option<&'static str> = Some("^[1-9][0-9]* (KiB|MiB|GiB|TiB)$");
    const EXAMPLES: &'static [&'static str] = &["64 KiB", "256 MiB", "1 GiB"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let (number, unit) = number_and_unit(text);
        let shift = match unit {
            " KiB" => 10,
            " MiB" => 20,
            " GiB" => 30,
            " TiB" => 40,
            _ => return Err(Some(size_hint(number, unit))),
        };
        match number.and_then(|number| number.checked_mul(1 << shift)) {
            Some(bytes) if bytes > 0 && bytes <= 1 << 50 => Ok(Self(bytes)),
            _ => Err(Some("it must be more than nothing and at most \"1024 TiB\"".to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self(1 << 30)
    }
}
text_shape!(Bytes);

/// What was probably meant: `256MB`, `256 mb` and `256M` are all `256 MiB`.
fn size_hint(number: Option<u64>, unit: &str) -> String {
    let letter = unit.trim().chars().next().map(|letter| letter.to_ascii_uppercase());
    match (number, letter) {
        (Some(number), Some(letter @ ('K' | 'M' | 'G' | 'T'))) => format!("did you mean \"{number} {letter}iB\"?"),
        _ => "write a whole number, a space and KiB, MiB, GiB or TiB: \"256 MiB\"".to_owned(),
    }
}

fn number_and_unit(text: &str) -> (Option<u64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number.parse().ok(), unit)
}

/// A label of a host name, or `@` for the domain itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Label(String),
    Apex,
}

impl Host {
    pub(crate) fn on(&self, domain: &str) -> String {
        match self {
            Self::Label(label) => format!("{label}.{domain}"),
            Self::Apex => domain.to_owned(),
        }
    }
}

impl Text for Host {
    const WANTS: &'static str = "a label of a host name";
    const PATTERN: Option<&'static str> = Some("^(@|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$");
    const EXAMPLES: &'static [&'static str] = &["www", "@"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        match text {
            "@" => Ok(Self::Apex),
            label if is_label(label) => Ok(Self::Label(label.to_owned())),
            _ if text.contains('.') => Err(Some(
                "write only what comes before the environment's domain: \"www\"; \"@\" is the domain itself".to_owned(),
            )),
            _ => Err(Some(LABEL_RULE.to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self::Label("unreadable".to_owned())
    }
}
text_shape!(Host);

const LABEL_RULE: &str = "a label has a-z, 0-9 and '-', starts and ends without '-', and has at most 63 characters";

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// Labels joined by dots; at most 253 bytes, as DNS allows.
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(&label.to_ascii_lowercase()))
}

/// An environment's domain. A placeholder stands for the number of a pull request or for a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain(String);

impl Domain {
    pub(crate) fn has(&self, per: Per) -> bool {
        self.0.contains(per.placeholder())
    }

    /// Without an instance the placeholder stays.
    pub(crate) fn of(&self, instance: Option<&Instance>) -> String {
        match instance {
            Some(instance) => self.0.replace(instance.per().placeholder(), &instance.label()),
            None => self.0.clone(),
        }
    }

    /// Whether its hosts exist on each machine anew.
    pub(crate) fn is_localhost(&self) -> bool {
        self.0 == "localhost" || self.0.ends_with(".localhost")
    }

    /// Longest name it can become.
    pub(crate) fn longest(&self) -> String {
        [Instance::PullRequest(u32::MAX), Instance::Branch(BranchSlug::longest())]
            .iter()
            .fold(self.0.clone(), |name, instance| name.replace(instance.per().placeholder(), &instance.label()))
    }
}

impl Text for Domain {
    const WANTS: &'static str = "a domain such as \"shop.example\"";
    const PATTERN: Option<&'static str> = Some(r"^[a-z0-9{}-]+(\.[a-z0-9{}-]+)*$");
    const EXAMPLES: &'static [&'static str] = &["shop.example", "pr-{pr}.preview.shop.example"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let domain = Self(text.to_owned());
        if text.matches('{').count() > 1 {
            Err(Some("\"{pr}\" or \"{branch}\" may stand in it once".to_owned()))
        } else if domain.longest().split('.').all(is_label) {
            Ok(domain)
        } else {
            Err(Some(format!("{LABEL_RULE}; labels are joined by '.'")))
        }
    }
    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(Domain);

/// The path of a page or a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlPath(pub(crate) String);

impl Text for UrlPath {
    const WANTS: &'static str = "a path that starts with \"/\"";
    const PATTERN: Option<&'static str> = Some("^/[!-~]*$");
    const EXAMPLES: &'static [&'static str] = &["/health"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        if !text.starts_with('/') {
            let is_address = text.contains("://");
            Err(Some(if is_address {
                "leave out scheme and host".to_owned()
            } else {
                format!("did you mean \"/{text}\"?")
            }))
        } else if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("it must have no spaces, no '#' and nothing that needs percent-encoding".to_owned()))
        }
    }
    fn stand_in() -> Self {
        Self("/".to_owned())
    }
}
text_shape!(UrlPath);

/// A file or folder below the place it is relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelativePath(pub(crate) String);

impl Text for RelativePath {
    const WANTS: &'static str = "a relative path";
    const EXAMPLES: &'static [&'static str] = &["apps/api"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let part_is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if text.starts_with('/') {
            Err(Some("leave out the first \"/\": it is relative to the manifest or to the app's folder".to_owned()))
        } else if text.split('/').all(part_is_plain) && !text.contains(['\0', '\\']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some(
                "write folders and a name joined by \"/\", without \".\", \"..\" and a \"/\" at the end".to_owned(),
            ))
        }
    }
    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(RelativePath);

/// The folder of an app: below the manifest, or the manifest's own. The latter is the empty text everywhere but in the manifest, as it
/// is in lock files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppFolder(pub(crate) String);

impl AppFolder {
    /// A file or folder in it, relative to the manifest.
    pub(crate) fn join(&self, name: &str) -> String {
        if self.0.is_empty() { name.to_owned() } else { format!("{}/{name}", self.0) }
    }

    /// As it is written.
    pub(crate) fn written(&self) -> &str {
        if self.0.is_empty() { "." } else { &self.0 }
    }
}

impl Text for AppFolder {
    const WANTS: &'static str = "a relative path, or \".\"";
    const EXAMPLES: &'static [&'static str] = &["apps/api", "."];
    fn read(text: &str) -> Result<Self, Option<String>> {
        match text {
            "." => Ok(Self(String::new())),
            text => RelativePath::read(text).map(|path| Self(path.0)),
        }
    }
    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(AppFolder);

/// `6`, `6.0` or `6.0.5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) String);

impl Text for Version {
    const WANTS: &'static str = "a version such as \"6.0\"";
    const PATTERN: Option<&'static str> = Some(r"^[0-9]+(\.[0-9]+){0,2}$");
    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_number = |part: &str| (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if text.split('.').count() <= 3 && text.split('.').all(is_number) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write one to three numbers joined by '.'".to_owned()))
        }
    }
    fn stand_in() -> Self {
        Self("0".to_owned())
    }
}
text_shape!(Version);

/// A number that counts something: from 1, and small enough to be no mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u32);

impl Shape for Count {
    const WANTS: &'static str = "a whole number from 1 to 100";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 1..=100).map(Self).unwrap_or_else(|| {
            reader
                .wrong(value, Self::WANTS)
                .hint("write the number without quotes; at least 1, so that somebody answers");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 100 })
    }
}

/// A status of HTTP that ends an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpStatus(pub(crate) u16);

impl Shape for HttpStatus {
    const WANTS: &'static str = "a status of HTTP from 200 to 599";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 200..=599).and_then(|number| u16::try_from(number).ok()).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes: 200, 404");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(200)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

/// A number of processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processes(pub(crate) u32);

impl Shape for Processes {
    // Fewer than 16 and Node itself does not start.
    const WANTS: &'static str = "a whole number from 16 to 100000";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 16..=100_000).map(Self).unwrap_or_else(|| {
            reader
                .wrong(value, Self::WANTS)
                .hint("write the number without quotes; threads count too, and Node has about 12");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(16)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 16, "maximum": 100_000 })
    }
}

/// A number of CPUs, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpus(pub(crate) u32);

impl Shape for Cpus {
    const WANTS: &'static str = "a number of CPUs from 0.05 to 1000";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        let number: Option<f64> = match value.get_ref() {
            toml::de::DeValue::Integer(number) => number.as_str().parse().ok(),
            toml::de::DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let thousandths = number.filter(|cpus| (0.05..=1000.0).contains(cpus)).map(|cpus| (cpus * 1000.0).round());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 50 to a million, and whole")]
        thousandths.map(|thousandths| Self(thousandths as u32)).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes: `cpu = 1.5`");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1000)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "number", "minimum": 0.05, "maximum": 1000 })
    }
}

/// A port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl Shape for Port {
    const WANTS: &'static str = "a port from 1 to 65535";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 1..=65_535).and_then(|port| u16::try_from(port).ok()).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("leave the key out to have a free port picked");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

pub(crate) fn integer(value: &Value<'_>, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
    let integer = value.get_ref().as_integer()?;
    u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
}

/// A command as its words; no shell sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Vec<String>);

impl Shape for Command {
    const WANTS: &'static str = "a command as a list of words";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        match value.get_ref() {
            toml::de::DeValue::Array(words) if !words.is_empty() => Self(Vec::decode(value, reader)),
            toml::de::DeValue::String(line) => {
                let words: Vec<String> = line.split_whitespace().map(|word| format!("{word:?}")).collect();
                reader.wrong(value, Self::WANTS).hint(format!("no shell runs it: write [{}]", words.join(", ")));
                Self::stand_in()
            }
            toml::de::DeValue::Array(_) => {
                reader.wrong(value, Self::WANTS).hint("the first word is the program");
                Self::stand_in()
            }
            _ => {
                reader.wrong(value, Self::WANTS).hint("for example [\"npm\", \"run\", \"build\"]");
                Self::stand_in()
            }
        }
    }
    fn stand_in() -> Self {
        Self(vec!["unreadable".to_owned()])
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => f.write_str(label),
            Self::Apex => f.write_str("@"),
        }
    }
}
