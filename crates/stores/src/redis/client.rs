//! Talking to our own redis-server: one connection, short timeouts.

use std::net::Ipv4Addr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError,
};
use secrets::Secret;

/// On loopback a server that does not answer in this time is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Who we are to the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity<'a> {
    Stranger,
    User { name: &'a str, password: &'a Secret },
}

/// What went wrong. The driver's error never holds the password.
pub(crate) type RedisFault = RedisError;

pub(crate) async fn connect(port: u16, who: Identity<'_>) -> Result<MultiplexedConnection, RedisFault> {
    // CLIENT SETINFO is a question too many for a server of version 7.0.
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Identity::User { name, password } = who {
        login = login.set_username(name).set_password(password.expose());
    }
    let address = ConnectionAddr::Tcp(Ipv4Addr::LOCALHOST.to_string(), port);
    let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Whether the server understood and said no, to a login or to a command.
pub(crate) fn is_refusal(fault: &RedisFault) -> bool {
    fault.kind() == ErrorKind::AuthenticationFailed || matches!(fault.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// Whether the server refused who we said to be, rather than what we asked for.
pub(crate) fn is_wrong_password(fault: &RedisFault) -> bool {
    is_refusal(fault) && fault.code() != Some("NOPERM")
}
