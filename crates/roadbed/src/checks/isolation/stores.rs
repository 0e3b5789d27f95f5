//! Our keys at another environment's stores.

use futures_util::future::join_all;
use manifest::id::AppName;
use secrets::{Secret, SecretName};
use stores::checks::intrusion::{AdminCertificate, Became, Key, try_mongodb, try_redis};
use stores::mongo::members::unit_of;
use stores::redis::{Purpose, Settings};

use super::neighbour::Neighbour;
use super::{Cells, Ours};

/// Whose key is tried.
enum Who<'a> {
    Nobody,
    App(&'a AppName, Secret),
    Admin(Secret),
    Bearer(AdminCertificate),
}

impl Who<'_> {
    fn key(&self) -> Key<'_> {
        match self {
            Self::Nobody => Key::None,
            Self::App(app, password) => Key::App { app, password },
            Self::Admin(password) => Key::Admin(password),
            Self::Bearer(certificate) => Key::Certificate(certificate),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Nobody => "without a login".to_owned(),
            Self::App(app, _) => format!("with our {app}'s login"),
            Self::Admin(_) => "with our administrator's login".to_owned(),
            Self::Bearer(_) => "with our administrator's certificate".to_owned(),
        }
    }
}

/// Logins at MongoDB and Redis, with every key that we have.
pub(super) async fn try_keys(ours: &Ours<'_>, other: &Neighbour, cells: &mut Cells) {
    let Some(up) = &other.up else {
        return cells.good("it is down: none of its stores and doors is open");
    };
    let theirs = other.environment.as_ref();
    if let (Some(settings), Some(own)) = (theirs.and_then(|theirs| theirs.mongodb.as_ref()), &ours.environment.mongodb)
    {
        let mut all = keys(ours, &own.apps, stores::mongo::app_secret);
        all.extend(AdminCertificate::new(ours.stores).map(Who::Bearer));
        for unit in (1..=settings.members).map(unit_of) {
            let Some(port) = up.port_of(&unit) else {
                cells.good(format!("its {unit} does not run"));
                continue;
            };
            let tries = all.iter().map(|who| try_mongodb(port, &settings.database, who.key()));
            judge(&unit, port, &all, join_all(tries).await, cells);
        }
    }
    if let (Some(theirs), Some(own)) = (theirs.and_then(|theirs| theirs.redis.as_ref()), &ours.environment.redis) {
        // The keys of all our purposes at each of theirs.
        let of_purpose = |purpose: Purpose| {
            let admin = secret(ours, &purpose.admin_secret()).map(Who::Admin);
            keys(ours, &own.apps, |app| purpose.app_secret(app)).into_iter().chain(admin)
        };
        let all: Vec<Who<'_>> = Purpose::OF_DATA.into_iter().flat_map(of_purpose).collect();
        for unit in Settings::all(theirs).iter().map(Settings::unit) {
            let Some(port) = up.port_of(&unit) else {
                cells.good(format!("its {unit} does not run"));
                continue;
            };
            let tries = all.iter().map(|who| try_redis(port, who.key()));
            judge(&unit, port, &all, join_all(tries).await, cells);
        }
    }
}

fn secret(ours: &Ours<'_>, name: &SecretName) -> Option<Secret> {
    Some(ours.secrets.get(name).ok()??.secret)
}

fn keys<'a>(ours: &Ours<'_>, apps: &'a [AppName], of_app: impl Fn(&AppName) -> SecretName) -> Vec<Who<'a>> {
    let mut all = vec![Who::Nobody];
    all.extend(apps.iter().filter_map(|app| Some(Who::App(app, secret(ours, &of_app(app))?))));
    all
}

fn judge(unit: &str, port: u16, all: &[Who<'_>], became: Vec<Became>, cells: &mut Cells) {
    for (who, became) in all.iter().zip(became) {
        let tried = format!("{unit} on port {port} {}", who.told());
        match became {
            Became::Refused(why) => cells.good(format!("{tried}: refused ({why})")),
            Became::Opened => cells.bad(format!("{tried}: opened")),
            Became::Silent(why) => cells.untried(format!("{tried}: it does not answer ({why})")),
        }
    }
}
