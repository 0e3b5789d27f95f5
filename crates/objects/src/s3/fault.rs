//! Refusals, as S3 writes them.

use http::StatusCode;

use super::xml::Xml;
use crate::store;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// As S3 names it: clients go by it.
    pub code: &'static str,
    pub message: String,
    /// Bytes of the object, where a range of it was not there.
    pub size: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), size: None }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::bad("InvalidRequest", message)
    }

    /// The same for all that somebody may not do, whatever is there.
    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
    }

    pub(crate) fn not_signed(what: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", format!("{what} must be signed"))
    }

    pub(crate) fn unknown(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", format!("{what} is not among what this store does"))
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "it could not be done; the store's own log says why",
        )
    }

    pub(crate) fn unmet() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "At least one of the preconditions you specified did not hold",
        )
    }

    pub(crate) fn body(&self, resource: &str, request_id: &str) -> String {
        let mut xml = Xml::document();
        xml.within("Error", |xml| {
            xml.text("Code", self.code);
            xml.text("Message", &self.message);
            xml.text("Resource", resource);
            xml.text("RequestId", request_id);
        });
        xml.end()
    }
}

impl From<store::Fault> for Refusal {
    fn from(fault: store::Fault) -> Self {
        use store::Fault;
        let said = fault.to_string();
        let not_found = |code| Self::new(StatusCode::NOT_FOUND, code, said.clone());
        if fault.is_full() {
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, "StorageFull", "the store's disk is full");
        }
        match fault {
            Fault::NoBucket(_) | Fault::BadBucket(_) => not_found("NoSuchBucket"),
            Fault::NoObject { .. } | Fault::NoVersion { .. } => not_found("NoSuchKey"),
            Fault::NoUpload(_) => not_found("NoSuchUpload"),
            Fault::BadKey(store::BadKey::Long(_)) => Self::bad("KeyTooLongError", said),
            Fault::BadKey(_) => Self::bad("InvalidArgument", said),
            Fault::NotEmpty { .. } => Self::new(StatusCode::CONFLICT, "BucketNotEmpty", said),
            Fault::Quota { .. } => Self::new(StatusCode::FORBIDDEN, "QuotaExceeded", said),
            Fault::Unmet => Self::unmet(),
            Fault::BadPart { .. } => Self::bad("InvalidPart", said),
            Fault::PartOrder => Self::bad("InvalidPartOrder", said),
            Fault::SmallPart { .. } => Self::bad("EntityTooSmall", said),
            Fault::Damaged { .. }
            | Fault::OtherContent
            | Fault::Held
            | Fault::Open(_)
            | Fault::Rows(_)
            | Fault::File(_)
            | Fault::Source(_)
            | Fault::Row(_) => {
                tracing::error!(fault = said, source = std::error::Error::source(&fault), "an object cannot be served");
                Self::internal()
            }
        }
    }
}
