//! Operations on a MongoDB, the kinds of credentials that open one, and which may do which.

use manifest::environment;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::Whose;
use crate::leases;
use crate::mongo::rights::{On, Role};
use crate::mongo::{OwnUser, code, roles};

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An app's password.
    App,
    /// A lent user that may what the app may.
    LentOfApp,
    /// A lent user that reads.
    LentToRead,
    /// A certificate of one of our own users.
    Own(OwnUser),
    /// The key by which the members of the replica set know each other.
    Members,
    /// No login at all.
    Nobody,
}

impl Kind {
    /// Those that an environment has.
    pub(crate) fn of(settings: &environment::MongoDb) -> Vec<Self> {
        let own = OwnUser::of(settings).into_iter().map(Self::Own);
        let lent = [Self::App, Self::LentOfApp, Self::LentToRead];
        lent.into_iter().chain(own).chain([Self::Members, Self::Nobody]).collect()
    }

    /// As a heading names it.
    pub(crate) fn told(self) -> String {
        match self {
            Self::App => "app".to_owned(),
            Self::LentOfApp => "lent, as app".to_owned(),
            Self::LentToRead => "lent, to read".to_owned(),
            Self::Own(user) => user.to_string(),
            Self::Members => "members' key".to_owned(),
            Self::Nobody => "no login".to_owned(),
        }
    }

    pub(crate) fn may(self, operation: &Operation, settings: &environment::MongoDb) -> bool {
        let rights = self.rights(settings);
        operation.needs.iter().all(|(what, action)| rights.allow(what, action))
    }

    fn rights(self, settings: &environment::MongoDb) -> Rights {
        match self {
            Self::App | Self::LentOfApp => Rights::of(&roles::app_role(settings)),
            Self::LentToRead => Rights(built_in(leases::mongo::READER, &settings.database)),
            Self::Own(user) => Rights::of(&user.role(settings)),
            Self::Members => Rights(vec![(Reach::Everything, Vec::new())]),
            Self::Nobody => Rights(Vec::new()),
        }
    }
}

/// What something is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Server,
    Database(String),
    /// A collection of the server's own.
    ServerOwn(&'static str, &'static str),
}

/// Something that somebody might do.
pub(crate) struct Operation {
    /// A verb and its object; unique.
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    needs: Vec<(What, &'static str)>,
    pub(crate) database: String,
    /// Who may not do it asks this, which does nothing to anybody even if it is let through.
    pub(crate) question: Document,
    /// Who may do it asks this instead.
    pub(crate) in_earnest: Option<Document>,
    /// How many documents it must meet where a document was made before.
    pub(crate) meets: Option<usize>,
    /// What the server says to those whom it would let, of what we name and nobody has.
    pub(crate) ends_with: &'static [i32],
}

/// What is named and nobody has: a database, a collection, a user, a role.
const ABSENT: &str = "roadbed_probe_absent";

/// The collection in which a document is made and taken away again.
const PROBE: &str = "roadbed_probe";

const NO_SUCH_COLLECTION: &[i32] = &[26];
const NO_SUCH_USER: &[i32] = &[code::USER_NOT_FOUND];
const NO_SUCH_ROLE: &[i32] = &[code::ROLE_NOT_FOUND];
/// `BadValue`: no server sleeps for less than no time.
const NO_SUCH_TIME: &[i32] = &[2];
/// `NoSuchKey`, `FailedToParse`, `InvalidReplicaSetConfig`, and what later versions say of a field that is missing.
const NO_CONFIGURATION: &[i32] = &[4, 9, 93, 40414];

/// All of them, in the order in which they are tried: a document is made before it is read, and taken away at the end.
pub(crate) fn operations(database: &str) -> Vec<Operation> {
    let own = || What::Database(database.to_owned());
    let other = || What::Database(ABSENT.to_owned());
    let id = ObjectId::new();
    let this = || doc! { "_id": id };
    let role = doc! { "role": ABSENT, "db": database };
    let reader = doc! { "role": leases::mongo::READER, "db": database };
    // A list cannot be an id, so nothing is kept; the server looks at that after it looked at who asks.
    let impossible = doc! { "insert": PROBE, "documents": [{ "_id": [] }] };
    let follow = doc! { "aggregate": PROBE, "pipeline": [{ "$changeStream": {} }], "cursor": { "batchSize": 0 } };
    let index = doc! { "key": { "_id": 1 }, "name": "_id_" };
    let update =
        |collection: &str| doc! { "update": collection, "updates": [{ "q": this(), "u": { "$set": { "n": 1 } } }] };
    let remove = |collection: &str| doc! { "delete": collection, "deletes": [{ "q": this(), "limit": 1 }] };
    let find = |collection: &str| doc! { "find": collection, "filter": this(), "limit": 1 };
    let list = || doc! { "listCollections": 1, "nameOnly": false };
    let replay =
        doc! { "applyOps": [{ "op": "d", "ns": format!("{database}.{PROBE}"), "o": { "_id": ObjectId::new() } }] };
    let password = doc! { "updateUser": ABSENT, "pwd": "x", "mechanisms": ["SCRAM-SHA-256"] };
    let user = doc! { "createUser": ABSENT, "pwd": "x", "roles": [&role], "mechanisms": ["SCRAM-SHA-256"] };
    let grant = doc! { "grantRolesToUser": ABSENT, "roles": [reader] };
    let databases = doc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
    let users = doc! { "find": "system.users", "limit": 1, "projection": { "_id": 1 } };
    let oplog = doc! { "find": "oplog.rs", "limit": 1, "projection": { "ts": 1 } };
    let absent_index = doc! { "dropIndexes": ABSENT, "index": "absent" };

    let ask = |whose, name, needs: Vec<(What, &'static str)>, database: &str, question| Operation {
        name,
        whose,
        needs,
        database: database.to_owned(),
        question,
        in_earnest: None,
        meets: None,
        ends_with: &[],
    };
    let on_own = |name, action, question| ask(Whose::Own, name, vec![(own(), action)], database, question);
    let on_other = |name, action, question| ask(Whose::Other, name, vec![(other(), action)], ABSENT, question);
    let on_server = |name, action, question| ask(Whose::Server, name, vec![(What::Server, action)], "admin", question);
    vec![
        on_own("list collections", "listCollections", list()),
        on_own("insert", "insert", impossible).in_earnest(doc! { "insert": PROBE, "documents": [this()] }).meets(1),
        on_own("read", "find", find(PROBE)).meets(1),
        on_own("update", "update", update(PROBE)).meets(1),
        on_own("remove", "remove", remove(PROBE)).meets(1),
        ask(Whose::Own, "follow changes", vec![(own(), "changeStream"), (own(), "find")], database, follow),
        on_own("make a collection", "createCollection", doc! { "create": PROBE }).ends_with(&[code::NAMESPACE_EXISTS]),
        on_own("make an index", "createIndex", doc! { "createIndexes": PROBE, "indexes": [index] }),
        on_own("change a collection", "collMod", doc! { "collMod": ABSENT }).ends_with(NO_SUCH_COLLECTION),
        on_own("drop an index", "dropIndex", absent_index).ends_with(NO_SUCH_COLLECTION),
        on_own("drop a collection", "dropCollection", doc! { "drop": ABSENT }).ends_with(NO_SUCH_COLLECTION),
        on_own("list users", "viewUser", doc! { "usersInfo": 1 }),
        on_own("set a password", "changePassword", password).ends_with(NO_SUCH_USER),
        ask(Whose::Own, "make a user", vec![(own(), "createUser"), (own(), "grantRole")], database, user)
            .ends_with(NO_SUCH_ROLE),
        on_own("grant rights", "grantRole", grant).ends_with(NO_SUCH_USER),
        on_own("drop a user", "dropUser", doc! { "dropUser": ABSENT }).ends_with(NO_SUCH_USER),
        on_other("list another database's collections", "listCollections", list()),
        on_other("read another database", "find", find(ABSENT)),
        on_other("update another database", "update", update(ABSENT)),
        on_other("remove from another database", "remove", remove(ABSENT)),
        on_other("drop another database", "dropDatabase", doc! { "dropDatabase": 1 }),
        on_other("list another database's users", "viewUser", doc! { "usersInfo": 1 }),
        on_server("list all databases", "listDatabases", databases),
        ask(
            Whose::Server,
            "read digests of passwords",
            vec![(What::ServerOwn("admin", "system.users"), "find")],
            "admin",
            users,
        ),
        ask(Whose::Server, "read the oplog", vec![(What::ServerOwn("local", "oplog.rs"), "find")], "local", oplog),
        ask(Whose::Server, "replay changes", vec![(What::Server, "applyOps"), (own(), "remove")], "admin", replay),
        on_server("see the server's state", "serverStatus", doc! { "serverStatus": 1 }),
        on_server("see the replica set", "replSetGetStatus", doc! { "replSetGetStatus": 1 }),
        on_server("change the replica set", "replSetConfigure", doc! { "replSetReconfig": {} })
            .ends_with(NO_CONFIGURATION),
        on_server("see how it was started", "getCmdLineOpts", doc! { "getCmdLineOpts": 1 }),
        on_server("change a setting", "setParameter", doc! { "setParameter": 1, "ttlMonitorSleepSecs": -1 })
            .ends_with(NO_SUCH_TIME),
    ]
}

impl Operation {
    fn in_earnest(self, question: Document) -> Self {
        Self { in_earnest: Some(question), ..self }
    }

    fn meets(self, documents: usize) -> Self {
        Self { meets: Some(documents), ..self }
    }

    fn ends_with(self, codes: &'static [i32]) -> Self {
        Self { ends_with: codes, ..self }
    }
}

/// As far as a right reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    Server,
    AnyDatabase,
    Database(String),
    ServerOwn(String, String),
}

/// Actions, and on what.
#[derive(Debug)]
struct Rights(Vec<(Reach, Vec<&'static str>)>);

impl Rights {
    fn of(role: &Role) -> Self {
        let reach = |on: &On| match on {
            On::Cluster => Reach::Server,
            On::Database(database) => Reach::Database(database.clone()),
            On::Collection(database, collection) => Reach::ServerOwn(database.clone(), (*collection).to_owned()),
        };
        let own = role.allows.iter().map(|(on, actions)| (reach(on), actions.clone()));
        let inherited = role.inherits.iter().flat_map(|inherited| built_in(inherited, &role.key.database));
        Self(own.chain(inherited).collect())
    }

    fn allow(&self, what: &What, action: &str) -> bool {
        self.0.iter().any(|(reach, actions)| match (reach, what) {
            (Reach::Everything, _) => true,
            (Reach::Server, What::Server) | (Reach::AnyDatabase, What::Database(_)) => actions.contains(&action),
            (Reach::Database(database), What::Database(wanted)) => database == wanted && actions.contains(&action),
            (Reach::ServerOwn(database, collection), What::ServerOwn(of, wanted)) => {
                (database.as_str(), collection.as_str()) == (*of, *wanted) && actions.contains(&action)
            }
            _ => false,
        })
    }
}

/// What roles of the server's own allow, as far as there is an operation that needs it. The server's manual says it, and the cells
/// say whether it is so.
fn built_in(role: &str, database: &str) -> Vec<(Reach, Vec<&'static str>)> {
    let of_users = ["changePassword", "createUser", "dropUser", "grantRole", "revokeRole", "viewUser"];
    match role {
        leases::mongo::READER => vec![(
            Reach::Database(database.to_owned()),
            vec!["changeStream", "collStats", "dbStats", "find", "listCollections", "listIndexes"],
        )],
        "userAdminAnyDatabase" => vec![
            (Reach::AnyDatabase, of_users.to_vec()),
            (Reach::Server, vec!["listDatabases"]),
            (Reach::ServerOwn("admin".to_owned(), "system.users".to_owned()), vec!["find"]),
        ],
        _ => Vec::new(),
    }
}

/// How many documents an answer is about; nothing of what it could not do.
pub(crate) fn met(answer: &Document) -> usize {
    if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
        return 0;
    }
    let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).map(Vec::len);
    batch.unwrap_or_else(|_| answer.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
}

/// The question that ends what an answer has begun on the server: a cursor that waits for changes.
pub(crate) fn end_of(answer: &Document) -> Option<Document> {
    let cursor = answer.get_document("cursor").ok()?;
    let id = cursor.get_i64("id").ok().filter(|id| *id != 0)?;
    let collection = cursor.get_str("ns").ok()?.split_once('.')?.1;
    Some(doc! { "killCursors": collection, "cursors": [Bson::Int64(id)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> environment::MongoDb {
        let text = include_str!("../../../../roadbed.toml").to_owned();
        let (manifest, _) = manifest::parse(&manifest::Source { file: "roadbed.toml".to_owned(), text });
        manifest.unwrap().resolve(&"local".parse().unwrap()).unwrap().mongodb.unwrap()
    }

    fn allowed(kind: Kind) -> Vec<&'static str> {
        let settings = settings();
        let all = operations(&settings.database);
        all.iter().filter(|operation| kind.may(operation, &settings)).map(|operation| operation.name).collect()
    }

    #[test]
    fn the_answers_follow_from_the_roles() {
        let reading = ["list collections", "read"];
        assert_eq!(allowed(Kind::Own(OwnUser::Backup)), reading);
        assert_eq!(allowed(Kind::LentToRead), ["list collections", "read", "follow changes"]);
        assert_eq!(allowed(Kind::Own(OwnUser::PointInTimeReader)), ["read the oplog"]);
        assert_eq!(allowed(Kind::Own(OwnUser::Rotator)), ["list users", "set a password"]);
        assert_eq!(
            allowed(Kind::App),
            ["list collections", "insert", "read", "update", "remove", "follow changes", "make a collection"]
        );
        assert_eq!(allowed(Kind::App), allowed(Kind::LentOfApp));
        assert_eq!(allowed(Kind::Nobody), <[&str; 0]>::default());
        assert_eq!(allowed(Kind::Members).len(), operations("x").len());
        let administrator = allowed(Kind::Own(OwnUser::Administrator));
        assert!(administrator.contains(&"grant rights") && administrator.contains(&"change the replica set"));
        assert!(!administrator.contains(&"read") && !administrator.contains(&"read the oplog"), "{administrator:?}");
    }

    #[test]
    fn nobody_but_the_members_reaches_another_database_and_only_who_manages_users_sees_its_users() {
        let settings = settings();
        for kind in Kind::of(&settings).into_iter().filter(|kind| *kind != Kind::Members) {
            let others = operations(&settings.database).into_iter().filter(|operation| operation.whose == Whose::Other);
            for operation in others.filter(|operation| kind.may(operation, &settings)) {
                assert_eq!(
                    (kind, operation.name),
                    (Kind::Own(OwnUser::Administrator), "list another database's users")
                );
            }
        }
    }

    #[test]
    fn what_can_empty_a_database_is_aimed_at_what_nobody_has() {
        for operation in operations("shop-local") {
            let (verb, object) = operation.question.iter().next().unwrap();
            match verb.as_str() {
                "dropDatabase" => assert_eq!(operation.database, ABSENT),
                "drop" | "dropIndexes" | "dropUser" | "collMod" => assert_eq!(object.as_str(), Some(ABSENT)),
                "delete" | "update" => assert!([PROBE, ABSENT].contains(&object.as_str().unwrap())),
                "shutdown" => panic!("a server is stopped"),
                _ => {}
            }
        }
    }
}
