//! Rights that were given or taken behind our back.

use std::fs;

use mongodb::bson::{Document, doc};
use stores::mongo::OwnUser;

use super::{Scene, now, port_after};
use crate::stage;

const CELLS: &str = "credentials-open-their-own-data-only";
const TOKENS: &str = "upstash-tokens-open-their-own";

impl Scene {
    /// As somebody with our administrator's certificate.
    fn as_administrator(&self, database: &str, command: Document) {
        let ground = stage::ground_of(&self.shop);
        let port = port_after(&fs::read_to_string(ground.root.conf().join("mongodb/mongod.conf")).unwrap(), "port:");
        now(async {
            let admin = OwnUser::Administrator.client(&ground, port).unwrap();
            admin.database(database).run_command(command).await.unwrap();
        });
    }

    /// Gives one of our users more, and lets a friend in. `up` takes it back.
    pub(super) fn rights_that_were_given_behind_our_back(&self) {
        const ID: &str = "mongodb-gives-least-privilege";
        let backup = OwnUser::Backup.key(&stage::ground_of(&self.shop).id).name;
        let role = doc! { "role": "readWriteAnyDatabase", "db": "admin" };
        self.as_administrator("$external", doc! { "grantRolesToUser": &backup, "roles": [role] });
        let friend = doc! { "createUser": "friend", "pwd": "let me in", "roles": [], "mechanisms": ["SCRAM-SHA-256"] };
        self.as_administrator("admin", friend);
        let seen = self.fails(ID, "it has readWriteAnyDatabase of admin")["observed"].to_string();
        for because in ["nobody asked for friend of admin", "backup tried to delete the apps' data: allowed"] {
            assert!(seen.contains(because), "no {because:?} in {seen}");
        }
        self.mended_by_up();
        self.holds(ID);
    }

    /// Whoever reads changes also writes, and the backup reads no more. `up` sets both again.
    pub(super) fn a_user_with_more_and_a_user_with_less_than_declared(&self) {
        self.holds(CELLS);
        let pitr = OwnUser::PointInTimeReader.key(&stage::ground_of(&self.shop).id).name;
        let role = doc! { "role": "readWriteAnyDatabase", "db": "admin" };
        self.as_administrator("$external", doc! { "grantRolesToUser": &pitr, "roles": [role] });
        let reading = doc! { "resource": { "db": "urbancart_local", "collection": "" }, "actions": ["find"] };
        let narrow = doc! { "revokePrivilegesFromRole": "roadbed-backup", "privileges": [reading] };
        self.as_administrator("urbancart_local", narrow);
        let seen = self.fails(CELLS, "mongodb with the certificate of pitr, insert: allowed")["observed"].to_string();
        for because in [
            "mongodb with the certificate of pitr, read: allowed",
            "mongodb with the certificate of pitr, remove from another database: allowed",
            "mongodb with the certificate of backup, read: refused (Unauthorized)",
        ] {
            assert!(seen.contains(because), "no {because:?} in {seen}");
        }
        self.mended_by_up();
        self.holds(CELLS);
    }

    /// Its user may do in Redis what the app may, by the file that a server reads when it starts. `up` takes it back.
    pub(super) fn a_read_only_token_that_writes(&self) {
        self.holds(TOKENS);
        self.users_of_redis_changed(|text| {
            let reader = text.lines().find(|line| line.starts_with("user app-api.r ")).expect("there is a reader");
            let more = reader.replace("%R~urbancart:local:*", "~urbancart:local:*").replace("-@all +@read", "+@all");
            assert_ne!(more, reader);
            text.replace(reader, &more)
        });
        let seen = self.fails(TOKENS, "SET with the read-only token of api: allowed")["observed"].to_string();
        assert!(seen.contains("DEL with the read-only token of api: allowed"), "{seen}");
        self.mended_by_up();
        self.holds(TOKENS);
    }

    /// The same for the app's own user: the prefix of its keys was widened to all.
    pub(super) fn an_app_whose_token_opens_every_key(&self) {
        self.users_of_redis_changed(|text| {
            let own = text.lines().find(|line| line.starts_with("user app-api ")).expect("there is the app");
            text.replace(own, &own.replace("~urbancart:local:*", "~*"))
        });
        let seen = self.fails(TOKENS, "GET with the token of api: allowed")["observed"].to_string();
        assert!(seen.contains("BROKEN: SET with the token of api: allowed"), "{seen}");
        self.mended_by_up();
        self.holds(TOKENS);
    }

    fn users_of_redis_changed(&self, change: impl Fn(&str) -> String) {
        let users = self.shop.root().join("conf/redis/users.acl");
        let text = fs::read_to_string(&users).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text);
        fs::write(&users, changed).unwrap();
        self.started_again("redis");
    }

    /// The prefix of its keys was widened to all, in the file that a server reads when it starts. `up` takes it back.
    pub(super) fn an_app_that_may_name_every_key(&self) {
        let users = self.shop.root().join("conf/redis/users.acl");
        let text = fs::read_to_string(&users).unwrap();
        let own = "~urbancart:local:*";
        assert!(text.contains(own), "{own} is no rule of the app");
        fs::write(&users, text.replace(own, "~*")).unwrap();
        self.started_again("redis");
        let seen = self.fails(CELLS, "with redis's password of app-api, read what others have: allowed");
        let seen = seen["observed"].to_string();
        assert!(seen.contains("write what others have: allowed"), "{seen}");
        self.mended_by_up();
        self.holds(CELLS);
    }
}
