//! `roadbed github apply`: a repository's settings on GitHub, held to the manifest.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ::github::{Change, Client, Kind, Reviewer, Wanted, WantedEnvironment, Way};
use ::secrets::Secret;
use host::files;
use manifest::Manifest;
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::github_args::GithubApply;
use crate::cli::github_values::{Memory, Values};
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::render::paint::printable;

/// GitHub itself gives up after ten seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// Longer is no token.
const LONGEST_TOKEN: u64 = 4096;

/// Where distributions keep the certificates that the system trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What `--json` prints: a contract.
#[derive(Serialize)]
struct Document<'d> {
    repository: &'d str,
    /// Whether everything is as the manifest says now.
    holds: bool,
    applied: bool,
    changes: &'d [Change],
}

pub fn run(session: &Session, args: &GithubApply) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let Some(repository) = project.manifest.github().map(|github| github.repository) else {
        return Err(Failure::Usage(
            Fault::new("the manifest names no repository on GitHub")
                .hint("add [ci.github] with `repository = \"owner/name\"` to roadbed.toml"),
        ));
    };
    let wanted = wanted(&project.manifest);
    let token = token(session, args)?;
    let variable = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
    let api = args.api.clone().or_else(|| variable("GITHUB_API_URL"));
    let way = Way {
        api: api.unwrap_or_else(|| "https://api.github.com".to_owned()),
        authorities: authorities(variable("SSL_CERT_FILE").as_deref())?,
        deadline: DEADLINE,
    };
    let pause = |time: Duration| {
        session.output.note(format!("GitHub wants {} s of patience", time.as_secs()));
        std::thread::sleep(time);
    };
    let client = Client::new(&way, &repository, &token, &pause).map_err(Failure::Usage)?;
    let values = Values::given(session, args, &wanted)?;
    let mut memory = Memory::of(session, &repository)?;
    let given = values.with(&memory);
    let changes = ::github::plan(&client, &wanted, &given)?;
    for change in &changes {
        tell(session, change)?;
        if args.dry_run {
            continue;
        }
        if let Some((place, written)) = ::github::apply(&client, change, &given)? {
            memory.note(place, written)?;
        }
    }
    let is_left = |change: &&Change| match change.kind {
        Kind::Undeclared => args.strict,
        Kind::Missing | Kind::Changed => true,
        Kind::Create | Kind::Update | Kind::Delete => args.dry_run,
    };
    let left = changes.iter().filter(is_left).count();
    let output = &session.output;
    if output.is_json() {
        let document =
            Document { repository: &repository, holds: left == 0, applied: !args.dry_run, changes: &changes };
        output.json(&document)?;
    } else if left == 0 {
        output.note(format!("{} {repository} is as the manifest says", output.notes.good("✓")));
    } else if args.dry_run {
        output.note(format!("{left} of {repository} differ; `roadbed github apply` makes them so"));
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Failed })
}

fn wanted(manifest: &Manifest) -> Wanted {
    let (protection, github) = (manifest.protection(), manifest.github());
    let mut wanted = Wanted::default();
    if let Some(protection) = protection {
        wanted.branches = protection.branches;
        wanted.checks = protection.checks;
    }
    let Some(github) = github else { return wanted };
    wanted.approvals = github.approvals;
    wanted.variables = github.variables;
    wanted.secrets = github.secrets;
    let environments = github.environments.into_iter().map(|one| WantedEnvironment {
        name: one.name,
        branches: one.branches,
        reviewers: one
            .reviewers
            .iter()
            .map(|name| match name.strip_prefix("team/") {
                Some(team) => Reviewer::Team(team.to_owned()),
                None => Reviewer::User(name.clone()),
            })
            .collect(),
        wait: u32::try_from(one.wait.as_secs() / 60).unwrap_or(u32::MAX),
        variables: one.variables,
        secrets: one.secrets,
    });
    wanted.environments = environments.collect();
    wanted
}

/// Never from the command line, which everybody on this machine can read.
fn token(session: &Session, args: &GithubApply) -> Result<Secret, Failure> {
    if args.token_stdin {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(LONGEST_TOKEN).read_to_string(&mut text);
        read.map_err(|error| Fault::because("cannot read the token from stdin", &error))?;
        return Ok(Secret::new(text.trim().to_owned()));
    }
    let set = ["GITHUB_TOKEN", "GH_TOKEN"].iter().find_map(|name| session.surroundings.variable(name));
    set.filter(|text| !text.is_empty()).map(Secret::new).ok_or_else(|| {
        Failure::Usage(
            Fault::new("there is no token for GitHub")
                .hint("set GITHUB_TOKEN, or pipe one: `gh auth token | roadbed github apply --token-stdin`"),
        )
    })
}

fn authorities(named: Option<&str>) -> Result<Vec<u8>, Failure> {
    if let Some(path) = named {
        return Ok(files::read(Path::new(path))?);
    }
    for bundle in BUNDLES {
        if let Some(bytes) = files::read_if_exists(Path::new(bundle))? {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

fn tell(session: &Session, change: &Change) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return Ok(());
    }
    let paint = output.data;
    let mark = match change.kind {
        Kind::Create => paint.good("+"),
        Kind::Update => paint.caution("~"),
        Kind::Delete => paint.bad("-"),
        Kind::Missing | Kind::Changed => paint.bad("!"),
        Kind::Undeclared => paint.caution("?"),
    };
    output.line(format!("{mark} {}", paint.strong(printable(&change.what))))?;
    change.details.iter().try_for_each(|line| output.line(format!("    {}", printable(line))))
}
