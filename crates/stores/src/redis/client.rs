//! What an answer of Redis means.

use redis::{ErrorKind, RedisError};

/// What went wrong. The driver's error never holds the password.
pub(crate) type RedisFault = RedisError;

/// Whether the server understood and said no, to a login or to a command.
pub(crate) fn is_refusal(fault: &RedisFault) -> bool {
    fault.kind() == ErrorKind::AuthenticationFailed || matches!(fault.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// Whether the server refused who we said to be, rather than what we asked for.
pub(crate) fn is_wrong_password(fault: &RedisFault) -> bool {
    is_refusal(fault) && fault.code() != Some("NOPERM")
}
