//! Doing the steps, one effect each. Every step may find its work done already, by an earlier run that was killed.

use mongodb::bson::doc;
use reconcile::Fault;

use super::ExternalMongo;
use super::look::refuse_foreign_users;
use super::plan::Step;
use crate::mongo::{app_secret, app_users, roles};

pub(super) async fn perform(mongo: &ExternalMongo, step: &Step) -> Result<(), Fault> {
    let (settings, ground) = (&mongo.settings, &mongo.ground);
    match step {
        Step::MakeCredentials => {
            ground.make_authority()?;
            for app in &settings.apps {
                ground.make_secret(&app_secret(app))?;
            }
            Ok(())
        }
        Step::PutRole => {
            let role = roles::app_role(settings);
            let put = role.put(&mongo.admin().await?).await;
            put.map_err(|fault| cannot(&format!("set the role {} of {}", role.key.name, role.key.database), &fault))
        }
        Step::PutUser { app, slot, .. } => {
            let client = mongo.admin().await?;
            // A plan may be older than what others did meanwhile.
            refuse_foreign_users(mongo, &client).await?;
            app_users::put(&client, ground, settings, app, *slot).await
        }
        Step::RemoveUser(user) => app_users::remove(&mongo.admin().await?, user).await,
        Step::RetireUser(user) => app_users::retire(&mongo.admin().await?, ground, user).await,
    }
}

fn cannot(what: &str, fault: &crate::mongo::MongoFault) -> Fault {
    Fault::because(format!("cannot {what} on the external MongoDB"), fault)
        .hint("its provider may let nobody make users and roles by command: then this driver cannot be used there")
        .retry_safe()
}

/// What `connectionStatus` is asked with.
pub(super) fn who_am_i() -> mongodb::bson::Document {
    doc! { "connectionStatus": 1, "showPrivileges": true }
}
