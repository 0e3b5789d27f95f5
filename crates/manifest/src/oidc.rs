//! Whose CI is let in by its own word: what a token of the CI must say.

use url::Url;

use crate::id::ProductName;
use crate::record::{choice, record};
use crate::scalars::RelativePath;
use crate::shape::{self, text_shape};
use crate::source::At;
use crate::target::{EnvRef, Instance};

record! {
    /// Which runs of a CI get a token of this environment for 15 minutes, by the token that the CI signs for each of its jobs (OpenID
    /// Connect): no key of anybody's is kept there. Everything here must be as written. Needs `api`.
    pub(crate) struct OidcTable {
        /// Who signs those tokens.
        issuer: At<IssuerUrl> = "https://token.actions.githubusercontent.com",
        /// Where its public keys are. Default: `/.well-known/jwks` of the issuer.
        keys: Option<At<KeysUrl>>,
        /// A file of certificates, in PEM, by which that place is recognised, relative to the manifest. Default: public authorities.
        ca: Option<At<RelativePath>>,
        /// By what it signs.
        algorithms: At<Vec<At<Algorithm>>> = ["RS256"],
        /// For whom the token must be made. Default: `roadbed://PRODUCT/ENVIRONMENT`, with the instance where there are many.
        audience: Option<At<Audience>>,
        /// Number of the repository. Names can be given to somebody else; numbers are not: `gh api repos/OWNER/NAME --jq .id` shows it.
        repository_id: At<Number>,
        /// Number of whom it belongs to: `gh api repos/OWNER/NAME --jq .owner.id` shows it.
        repository_owner_id: At<Number>,
        /// What is built: a branch, a tag. `{pr}` stands for the number of the pull request.
        r#ref: At<GitRef>,
        /// File of the workflow, with the ref that it is taken from, as the CI writes it: `OWNER/NAME/.github/workflows/FILE@REF`.
        workflow: At<WorkflowRef>,
        /// The same of the reusable workflow that the job is in. Default: it is in none.
        job_workflow: Option<At<WorkflowRef>>,
        /// The CI's own environment that the job runs in. Its reviewers and branches protect only jobs that name it.
        environment: Option<At<String>>,
        /// What may have started the run.
        events: At<Vec<At<CiEvent>>> = ["push", "workflow_dispatch"],
        /// Whose machine the job runs on.
        runner: Runner = "github-hosted",
    }
}

choice! {
    /// How a token is signed: with a pair of keys, always.
    pub enum Algorithm {
        /// RSA with PKCS #1 and SHA-256, as GitHub does.
        Rs256 = "RS256",
        /// RSA with PSS and SHA-256.
        Ps256 = "PS256",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

choice! {
    /// What starts a run. Events that run a repository's own workflow on a stranger's change are not among them.
    pub enum CiEvent {
        /// A push.
        Push = "push",
        /// Somebody started it.
        WorkflowDispatch = "workflow_dispatch",
        /// A release was published.
        Release = "release",
        /// A clock.
        Schedule = "schedule",
        /// A change that waits to be merged with others.
        MergeGroup = "merge_group",
        /// A pull request. Only where an environment exists per pull request.
        PullRequest = "pull_request",
    }
}

choice! {
    /// Whose machine a job runs on.
    pub enum Runner {
        /// The CI's, made for this job.
        GithubHosted = "github-hosted",
        /// One's own.
        SelfHosted = "self-hosted",
        /// Either.
        Any = "any",
    }
}

macro_rules! line_texts {
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
    )* };
}

line_texts! {
    /// Who signs; compared as it is written.
    IssuerUrl: "an address that begins with https://", "^https://[^/?#@]+(/[^?#]*[^/?#])?$", "https://token.actions.githubusercontent.com",
        |text| is_https(text) && !text.ends_with('/'), "write it as the tokens have it in `iss`, without a slash at the end";
    /// Where keys are.
    KeysUrl: "an address that begins with https://", "^https://", "https://ci.example/.well-known/jwks",
        is_https, "keys that come without TLS are anybody's";
    /// For whom a token is made. A name of ours, so that nobody else takes a token that we ask for.
    Audience: "an audience of Roadbed", "^roadbed://[a-z0-9./-]+$", "roadbed://urbancart/staging",
        |text| text.strip_prefix("roadbed://").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"./-".contains(&byte))
        }), "it begins with roadbed://, so that no other service takes a token that is made for it";
    /// A number that a service gave to something.
    Number: "a number, written as a text", "^[1-9][0-9]{0,19}$", "123456789",
        |text| (1..=20).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()),
        "write the number that the API of GitHub shows as `id`: names can be given to somebody else";
    /// A ref of git, in full.
    GitRef: "a ref of git in full", "^refs/(heads|tags|pull)/[^\\s*?\\[]+$", "refs/heads/main",
        is_ref, "write it in full and without patterns: \"refs/heads/main\"";
    /// A file of a workflow at a ref.
    WorkflowRef: "a workflow's file at a ref", "^[^/\\s]+/[^/\\s]+/[^\\s]+@refs/[^\\s*?]+$",
        "urbancart/shop/.github/workflows/deploy-staging.yml@refs/heads/main", is_workflow,
        "write \"OWNER/NAME/.github/workflows/FILE@refs/heads/BRANCH\"";
}

fn is_https(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

fn is_ref(text: &str) -> bool {
    let rest = ["refs/heads/", "refs/tags/", "refs/pull/"].iter().find_map(|start| text.strip_prefix(start));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control() || "*?[~^:\\".contains(c))
    })
}

fn is_workflow(text: &str) -> bool {
    // The name of a file may hold an `@` itself.
    let Some((file, at)) = text.split_once("@refs/") else { return false };
    let mut parts = file.splitn(3, '/');
    let is_path = parts.all(|part| !part.is_empty()) && file.matches('/').count() >= 2;
    is_path && !file.contains(char::is_whitespace) && is_ref(&format!("refs/{at}"))
}

/// What a token of the CI must say, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    pub issuer: String,
    /// Where its keys are.
    pub keys: String,
    /// By whom that place is recognised, relative to the manifest; `None`: public authorities.
    pub ca: Option<String>,
    pub algorithms: Vec<Algorithm>,
    pub audience: String,
    pub repository_id: String,
    pub repository_owner_id: String,
    pub git_ref: String,
    pub workflow: String,
    pub job_workflow: Option<String>,
    pub environment: Option<String>,
    pub events: Vec<CiEvent>,
    pub runner: Runner,
}

impl OidcTable {
    pub(crate) fn resolve(&self, product: &ProductName, environment: &EnvRef) -> Oidc {
        let of = |text: &str| with_number(text, environment.instance.as_ref());
        let issuer = self.issuer.0.clone();
        Oidc {
            keys: self.keys.as_ref().map_or_else(|| format!("{issuer}/.well-known/jwks"), |keys| keys.0.clone()),
            issuer,
            ca: self.ca.as_ref().map(|ca| ca.0.clone()),
            algorithms: self.algorithms.iter().map(|algorithm| algorithm.value).collect(),
            audience: match &self.audience {
                Some(audience) => audience.0.clone(),
                None => format!("roadbed://{product}/{environment}"),
            },
            repository_id: self.repository_id.0.clone(),
            repository_owner_id: self.repository_owner_id.0.clone(),
            git_ref: of(&self.r#ref.0),
            workflow: of(&self.workflow.0),
            job_workflow: self.job_workflow.as_ref().map(|workflow| of(&workflow.0)),
            environment: self.environment.as_ref().map(|environment| environment.value.clone()),
            events: self.events.iter().map(|event| event.value).collect(),
            runner: self.runner,
        }
    }
}

/// `{pr}` filled in.
pub(crate) const NUMBER: &str = "{pr}";

fn with_number(text: &str, instance: Option<&Instance>) -> String {
    match instance {
        Some(Instance::PullRequest(number)) => text.replace(NUMBER, &number.to_string()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_a_file_of_a_repository_at_a_ref() {
        for is in ["o/n/.github/workflows/x.yml@refs/heads/main", "o/n/.github/workflows/x@y.yml@refs/tags/v1"] {
            assert!(is_workflow(is), "{is}");
        }
        for is_not in [
            "",
            "x.yml",
            "o/n@refs/heads/main",
            "o/n/x.yml",
            "o/n/x.yml@main",
            "o//x.yml@refs/heads/main",
            "o/n/x.yml@refs/heads/*",
            "o/n/x y.yml@refs/heads/main",
        ] {
            assert!(!is_workflow(is_not), "{is_not}");
        }
    }
}
