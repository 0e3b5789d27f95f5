//! The configuration of a replica set, as members keep it: who is in it, and at which port.

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

use super::ELECTION_TIMEOUT;
use crate::mongo::client::{MongoFault, command};
use crate::mongo::observe::member;
use crate::mongo::roles::documents;

/// A member as the set has it. Its number is one more than its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) number: u32,
    pub(crate) port: u16,
}

/// `replSetGetConfig`, whose `config` a change begins with.
pub(crate) async fn read(client: &Client) -> Result<Document, MongoFault> {
    let answer = command(client, "admin", doc! { "replSetGetConfig": 1 }).await?;
    Ok(answer.get_document("config").cloned().unwrap_or_default())
}

pub(crate) fn seats(config: &Document) -> Vec<Seat> {
    let seat = |member: &Document| {
        let number = u32::try_from(member.get_i32("_id").ok()?).ok()?.checked_add(1)?;
        Some(Seat { number, port: port_of(member.get_str("host").ok()?)? })
    };
    documents(config, "members").filter_map(seat).collect()
}

/// The configuration with these members, if that is another. What it says of members that stay, is kept.
pub(crate) fn with_seats(config: &Document, wanted: &[Seat]) -> Option<Document> {
    if seats(config) == wanted {
        return None;
    }
    let kept = |seat: &Seat| {
        let known = documents(config, "members").find(|member| member.get_i32("_id").ok() == Some(id(seat.number)));
        let mut member_document = known.cloned().unwrap_or_else(|| doc! { "_id": id(seat.number) });
        member_document.insert("host", member(seat.port));
        Bson::from(member_document)
    };
    let mut changed = config.clone();
    changed.insert("members", wanted.iter().map(kept).collect::<Vec<_>>());
    changed.insert("version", config.get_i32("version").unwrap_or(1) + 1);
    let mut settings = config.get_document("settings").cloned().unwrap_or_default();
    let millis = |duration: std::time::Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    settings.insert("electionTimeoutMillis", millis(ELECTION_TIMEOUT));
    settings.insert("heartbeatIntervalMillis", millis(ELECTION_TIMEOUT / 3));
    changed.insert("settings", settings);
    Some(changed)
}

fn id(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX) - 1
}

pub(crate) fn port_of(host: &str) -> Option<u16> {
    host.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_member_that_stays_is_kept() {
        let config = doc! {
            "_id": "roadbed",
            "version": 4,
            "members": [{ "_id": 0, "host": "127.0.0.1:20001", "priority": 2 }, { "_id": 1, "host": "127.0.0.1:20002" }],
            "settings": { "replicaSetId": 7 },
        };
        let seat = |number, port| Seat { number, port };
        assert_eq!(seats(&config), [seat(1, 20_001), seat(2, 20_002)]);
        assert_eq!(with_seats(&config, &seats(&config)), None, "no change, no new version");
        let changed = with_seats(&config, &[seat(1, 20_009), seat(3, 20_003)]).unwrap();
        assert_eq!(seats(&changed), [seat(1, 20_009), seat(3, 20_003)]);
        let first = documents(&changed, "members").next().unwrap();
        assert_eq!(first.get_i32("priority").ok(), Some(2));
        assert_eq!(changed.get_i32("version").ok(), Some(5));
        assert_eq!(changed.get_document("settings").unwrap().get_i32("replicaSetId").ok(), Some(7));
    }
}
