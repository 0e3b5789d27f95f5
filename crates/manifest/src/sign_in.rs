//! Where people sign in who may see what is protected.

use std::time::Duration;

use url::Url;

use crate::oidc::{Algorithm, IssuerUrl};
use crate::record::record;
use crate::scalars::RelativePath;
use crate::shape::{self, text_shape};
use crate::source::At;
use crate::tls::MailAddress;

record! {
    /// Where people sign in who may see apps with `access = "protected"`: a provider of OpenID Connect, by the authorization code flow
    /// with PKCE. It takes back `https://HOST/.roadbed/callback` of each protected host. `roadbed secrets set sign-in/client` takes the
    /// client's secret. Who is let in is said here: without a name nobody is.
    pub(crate) struct SignInTable {
        /// The provider, as its tokens have it in `iss`.
        issuer: At<IssuerUrl>,
        /// What it calls us.
        client_id: At<ClientId>,
        /// Whether it gave us a secret. Without one only PKCE ties the answer to us.
        client_secret: bool = true,
        /// A file of certificates, in PEM, by which it is recognised, relative to the manifest. Default: public authorities.
        ca: Option<At<RelativePath>>,
        /// By what it signs.
        algorithms: At<Vec<At<Algorithm>>> = ["RS256"],
        /// Addresses of people who are let in, as the provider has verified them.
        emails: Vec<At<MailAddress>> = [],
        /// Everybody with a verified address at one of these is let in. Not at a provider where anybody gets an address.
        domains: Vec<At<MailDomain>> = [],
        /// Everybody in one of these groups is let in, as the claim `groups` names them.
        groups: Vec<At<GroupName>> = [],
        /// How long a sign-in lasts.
        lasts: Duration = "12h",
    }
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident: $wants:literal, $pattern:literal, $example:literal, $is:expr, $hint:literal;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) String);

        impl shape::Text for $name {
            const WANTS: &'static str = $wants;
            const PATTERN: Option<&'static str> = Some($pattern);
            const EXAMPLES: &'static [&'static str] = &[$example];

            fn read(text: &str) -> Result<Self, Option<String>> {
                let is: fn(&str) -> bool = $is;
                if is(text) { Ok(Self(text.to_owned())) } else { Err(Some($hint.to_owned())) }
            }

            fn stand_in() -> Self {
                Self($example.to_owned())
            }
        }
        text_shape!($name);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

texts! {
    /// What a provider calls a client.
    ClientId: "a client's id", "^[!-~]{1,255}$", "roadbed-admin",
        |text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
        "write it as the provider shows it";
    /// What stands behind the `@`.
    MailDomain: "a domain", "^[a-z0-9-]+(\\.[a-z0-9-]+)+$", "shop.example",
        |text| text.split('.').count() >= 2 && text.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        }), "write what stands behind the @, in lower case";
    /// A group as a provider names it.
    GroupName: "a group", "^[^\\n]{1,200}$", "operators",
        |text| (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control),
        "write it as the claim `groups` has it";
}

/// Where people sign in, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub issuer: String,
    pub client_id: String,
    pub has_secret: bool,
    /// By whom the provider is recognised, relative to the manifest; `None`: public authorities.
    pub ca: Option<String>,
    pub algorithms: Vec<Algorithm>,
    /// In lower case.
    pub emails: Vec<String>,
    pub domains: Vec<String>,
    pub groups: Vec<String>,
    pub lasts: Duration,
}

impl SignIn {
    /// What a button calls the provider.
    pub fn called(&self) -> String {
        Url::parse(&self.issuer).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl SignInTable {
    pub(crate) fn resolve(&self) -> SignIn {
        SignIn {
            issuer: self.issuer.0.clone(),
            client_id: self.client_id.0.clone(),
            has_secret: self.client_secret,
            ca: self.ca.as_ref().map(|ca| ca.0.clone()),
            algorithms: self.algorithms.iter().map(|algorithm| algorithm.value).collect(),
            emails: self.emails.iter().map(|email| email.0.to_lowercase()).collect(),
            domains: self.domains.iter().map(|domain| domain.0.clone()).collect(),
            groups: self.groups.iter().map(|group| group.0.clone()).collect(),
            lasts: self.lasts,
        }
    }
}
