//! The promises of an environment, as checks on the live system.
//!
//! | task | id | promise |
//! | --- | --- | --- |
//! | T1 | `variables-are-owned` | every required variable has a source, an owner and a value |
//! | T2 | `targets-follow-branches` | the branch alone decides where a deploy goes, and no two environments share a name |
//! | T1 | `code-matches-the-matrix` | the apps read only variables that are declared for them |
//! | T3 | `mongodb-guards-its-door` | strangers are refused, the app gets its own database and nothing else |
//! | T3 | `mongodb-gives-least-privilege` | there is no user that nobody needs, and each may do what it is for |
//! | T3 | `credentials-open-their-own-data-only` | each credential may do with its own data what the table says, and nothing elsewhere |
//! | T3 | `environments-are-isolated` | no environment's keys open another one's doors, no other user gets at its files, sockets or processes |
//! | T4 | `redis-guards-its-door` | as above |
//! | T4 | `upstash-tokens-open-their-own` | a token opens its app's keys, a read-only one writes none, no other opens any; where Redis speaks REST |
//! | T4 | `redis-keeps-its-promises` | memory, eviction and persistence as the server tells them; how full it is |
//! | T4 | `readiness-follows-the-stores` | an app says that it is not ready while a store is away, and is ready when it returns |
//! | T5 | `media-variants-are-delivered` | a picture in each public bucket comes in the width and format that is asked for, and in no other; where there is object storage |
//! | T5 | `objects-open-to-their-own` | an app's key opens its buckets, and no other key or environment opens any; where there is object storage |
//! | T5 | `apps-are-reachable` | every app answers over HTTPS, with a certificate that verifies; one that asks for a certificate refuses who has none |
//! | T5 | `killed-instances-return` | a killed instance is started again and serves |
//! | T6 | `http-redirects` | plain HTTP leads to HTTPS |
//! | T6 | `browsers-stay-with-https` | browsers are told what the manifest says, and nothing on localhost |
//! | T6 | `certificates-renew` | every host shows a certificate that visitors trust, with days left, and the next one is seen to |
//! | T7 | `nothing-is-overdue` | no secret is older than the manifest lets it be |
//! | T7 | `secrets-stay-secret` | no secret's value is in a log, a state file or the process list |
//! | T7 | `no-secret-is-published` | no secret is in the project's history or in what browsers load |
//! | T7 | `store-opens-for-its-own` | nobody else's key on this machine opens the secret store |
//! | T7 | `payments-stay-out-of-previews` | no preview is given, keeps or can open what moves money |
//! | T8 | `no-deploy-key-is-kept` | no token that deploys lies with a CI; where its runs get in by their own |
//! | T8 | `changes-are-checked` | a change to any app is looked at, and what was left out has not passed; where there are workflows |
//! | T9 | `failed-looks-fail-deployments` | every release was looked at, a bad page is seen and fails it; where something was deployed |
//! | T10 | `visitors-get-what-was-looked-at` | one release, whole, looked at and approved; where something was deployed |
//! | T11 | `requests-are-found-again` | a request's number finds what the edge and the apps wrote about it, with one trace |
//! | T11 | `forced-errors-arrive` | a forced error is found within 5 s, with environment, release and request; where apps report errors |
//! | T11 | `errors-are-shown` | a forced error is on a page of the console within 5 s; where there is one |
//! | T11 | `outages-are-noticed` | every app is watched, what fails is known within two looks and told; where the environment is watched |
//! | T12 | `bursts-are-throttled` | who asks too often gets 429 and is told when to come again, another client is served |
//! | T12 | `accounts-and-money-are-guarded-more` | the edge serves the declared limits, logins and payments have less, edges count together |
//! | T12 | `protected-refuses-strangers` | what is protected lets in who signed in and nobody else; where something is protected |
//! | T13 | `a-backup-is-young` | everything was backed up when it was due, and changes since are saved; where it is backed up |
//! | T13 | `backups-are-whole` | the repository is whole, read and decrypted by lot |
//! | T13 | `a-copy-is-elsewhere` | every second repository has what was saved, and takes nothing away where it says so; where there are copies |
//! | T13 | `the-newest-backup-was-restored` | a backup was restored in a rehearsal, equal, within the promised times |
//! | T14 | `runbook-can-be-followed` | the runbook is as the manifest makes it, and each command in it can be typed; where there is one, or must be |
//! | T14 | `one-can-go-back` | the release before is there, whole, and it is clear which; where there was one |
//! | T15 | `backend-can-work`, `frontend-can-work`, `admin-can-work` | each team's apps get what they need here; what is in the way, and who owns it |

mod variables;
mod targets;
mod code;
mod deliveries;
mod deploy_keys;
mod looked_at;
mod media;
mod sites;
mod tls;
mod readiness;
mod survival;
mod errors;
mod shown;
mod leaks;
mod limits;
mod published;
mod strangers;
mod payments;
mod protection;
mod pipeline;
mod outages;
mod overdue;
mod found_again;
mod isolation;
mod runbook;
mod teams;
mod visitor;
mod backup_copies;
mod backups;
pub mod catalogue;

pub use backups::Backups;
pub use code::CodeMatchesTheMatrix;
pub use deliveries::{OneCanGoBack, VisitorsGetWhatWasLookedAt};
pub use deploy_keys::NoDeployKeyIsKept;
pub use errors::ForcedErrorsArrive;
pub use found_again::RequestsAreFoundAgain;
pub use isolation::{
    CredentialsOpenTheirOwn, EnvironmentsAreIsolated, Here, ObjectsOpenToTheirOwn, TokensOpenTheirOwn,
};
pub use leaks::SecretsStaySecret;
pub use limits::{AccountsAndMoneyAreGuardedMore, BurstsAreThrottled};
pub use looked_at::FailedLooksFailDeployments;
pub use media::VariantsAreDelivered;
pub use outages::OutagesAreNoticed;
pub use overdue::NothingIsOverdue;
pub use payments::PaymentsStayOutOfPreviews;
pub use pipeline::ChangesAreChecked;
pub use protection::ProtectedRefusesStrangers;
pub use published::NoSecretIsPublished;
pub use readiness::ReadinessFollowsStores;
pub use runbook::RunbookCanBeFollowed;
pub use shown::ErrorsAreShown;
pub use sites::{AppsAreReachable, HttpRedirects};
pub use strangers::StoreOpensForItsOwn;
pub use survival::KilledInstancesReturn;
pub use targets::TargetsFollowBranches;
pub use teams::TeamCanWork;
pub(crate) use teams::row_of;
pub use tls::{BrowsersStayWithHttps, CertificatesRenew};
pub use variables::VariablesAreOwned;
pub use visitor::Visitor;
