//! What tests of somebody else's servers have in common.

use std::net::{Ipv4Addr, SocketAddr};

use manifest::environment::Class;
use secrets::Secret;
use stores::external::address_secret;

use crate::provider::{Provider, RedisProvider, Stands};
use crate::stand::{Stand, located, mongod, redis_server};

pub(crate) async fn mongodb(stands: Stands) -> Provider {
    Provider::start(&located(&*mongod().await).await, stands).await
}

pub(crate) async fn redis(more: &str) -> RedisProvider {
    RedisProvider::start(&located(&*redis_server().await).await, more).await
}

/// Keeps the address of a service as `roadbed secrets set` does.
pub(crate) fn told(stand: &Stand, service: &str, address: &str) {
    let address = Secret::new(address.to_owned());
    stand.ground.secrets.set(&address_secret(service), Class::Secret, &address).unwrap();
}

/// Somebody who closes every connection, and does not speak TLS.
pub(crate) async fn mute() -> u16 {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    port
}
