//! Everything for which the edge answers itself instead of passing a request on: the closed list.

use http::StatusCode;

/// Why there is no answer from a site. `Clone + Eq`, so that a table of tests can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP as the standard writes it.
    Malformed,
    /// Two lengths, or one that is none.
    AmbiguousLength,
    UnknownTransferEncoding,
    UnderscoreInName,
    HeadTooLarge,
    TargetTooLong,
    MethodNotAllowed,
    UnknownExpectation,
    /// None, several, or one that is no host name.
    BadHost,
    /// The connection or the request target names another host than `Host`.
    Misdirected,
    /// A host that no site has.
    UnknownHost,
    NotFound,
    Unauthorized,
    /// A session that nobody signed.
    SessionForged,
    /// Its time is over, or has not come.
    SessionOver,
    SessionRevoked,
    /// It holds at other hosts.
    SessionElsewhere,
    /// A page of another site wants to change something as whoever is signed in here.
    OtherSite,
    /// A form that did not come from our page, or from another browser.
    NotOurForm,
    /// Nobody can be signed in: control is away.
    DoorUnattended,
    /// Of a network that an operator keeps out.
    Blocked,
    /// Asked for what only scanners ask for, and too often.
    Scanner,
    /// Has not shown yet that it is worth something to it to come in.
    Unproven,
    /// More than a limit allows.
    AskedTooOften,
    /// The site asks visitors for a certificate, and none that it believes was shown.
    NoClientCertificate,
    /// The client began a body and sent nothing more for too long.
    UploadStalled,
    /// The app takes no body of this length.
    BodyTooLong,
    /// The client's body broke off, or was not framed as it said.
    UploadBroken,
    /// No route table was published yet.
    NothingPublished,
    /// The route tables on disk cannot be trusted.
    RoutesDamaged,
    /// No instance accepts a connection.
    AppUnreachable,
    /// An instance hung up, or answered with something that is not HTTP.
    AppBroke,
    AppTooSlow,
    /// The app has no WebSocket where one was asked for.
    UpgradeDeclined,
    /// A file that is there could not be read.
    FileUnreadable,
    /// Only what is kept was asked for, and nothing is.
    NotKept,
}

/// Whether the connection can carry another request after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    KeepOpen,
    Close,
}

impl Refusal {
    /// Every one, to find one by its code.
    pub const ALL: [Self; 36] = [
        Self::Malformed,
        Self::AmbiguousLength,
        Self::UnknownTransferEncoding,
        Self::UnderscoreInName,
        Self::HeadTooLarge,
        Self::TargetTooLong,
        Self::MethodNotAllowed,
        Self::UnknownExpectation,
        Self::BadHost,
        Self::Misdirected,
        Self::UnknownHost,
        Self::NotFound,
        Self::Unauthorized,
        Self::SessionForged,
        Self::SessionOver,
        Self::SessionRevoked,
        Self::SessionElsewhere,
        Self::OtherSite,
        Self::NotOurForm,
        Self::DoorUnattended,
        Self::Blocked,
        Self::Scanner,
        Self::Unproven,
        Self::AskedTooOften,
        Self::NoClientCertificate,
        Self::UploadStalled,
        Self::BodyTooLong,
        Self::UploadBroken,
        Self::NothingPublished,
        Self::RoutesDamaged,
        Self::AppUnreachable,
        Self::AppBroke,
        Self::AppTooSlow,
        Self::UpgradeDeclined,
        Self::FileUnreadable,
        Self::NotKept,
    ];

    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::AmbiguousLength | Self::UnderscoreInName | Self::BadHost | Self::UploadBroken => {
                StatusCode::BAD_REQUEST
            }
            Self::UnknownTransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownHost | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthorized
            | Self::SessionForged
            | Self::SessionOver
            | Self::SessionRevoked
            | Self::SessionElsewhere => StatusCode::UNAUTHORIZED,
            Self::OtherSite | Self::NotOurForm | Self::Blocked | Self::Scanner | Self::Unproven => {
                StatusCode::FORBIDDEN
            }
            Self::DoorUnattended => StatusCode::SERVICE_UNAVAILABLE,
            Self::AskedTooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::NoClientCertificate => StatusCode::FORBIDDEN,
            Self::UploadStalled => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NothingPublished | Self::RoutesDamaged | Self::AppUnreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::AppBroke | Self::UpgradeDeclined => StatusCode::BAD_GATEWAY,
            Self::AppTooSlow | Self::NotKept => StatusCode::GATEWAY_TIMEOUT,
            Self::FileUnreadable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word for it in the access log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AmbiguousLength => "ambiguous-length",
            Self::UnknownTransferEncoding => "unknown-transfer-encoding",
            Self::UnderscoreInName => "underscore-in-name",
            Self::HeadTooLarge => "head-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownExpectation => "unknown-expectation",
            Self::BadHost => "bad-host",
            Self::Misdirected => "misdirected",
            Self::UnknownHost => "unknown-host",
            Self::NotFound => "not-found",
            Self::Unauthorized => "unauthorized",
            Self::SessionForged => "session-forged",
            Self::SessionOver => "session-over",
            Self::SessionRevoked => "session-revoked",
            Self::SessionElsewhere => "session-elsewhere",
            Self::OtherSite => "other-site",
            Self::NotOurForm => "not-our-form",
            Self::DoorUnattended => "door-unattended",
            Self::Blocked => "blocked",
            Self::Scanner => "scanner",
            Self::Unproven => "unproven",
            Self::AskedTooOften => "asked-too-often",
            Self::NoClientCertificate => "no-client-certificate",
            Self::UploadStalled => "upload-stalled",
            Self::BodyTooLong => "body-too-long",
            Self::UploadBroken => "upload-broken",
            Self::NothingPublished => "nothing-published",
            Self::RoutesDamaged => "routes-damaged",
            Self::AppUnreachable => "app-unreachable",
            Self::AppBroke => "app-broke",
            Self::AppTooSlow => "app-too-slow",
            Self::UpgradeDeclined => "upgrade-declined",
            Self::FileUnreadable => "file-unreadable",
            Self::NotKept => "not-kept",
        }
    }

    /// What a visitor is told: a sentence that blames the right one and says what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "The request is not valid HTTP.",
            Self::AmbiguousLength => "The request states its length in a way that has more than one meaning.",
            Self::UnknownTransferEncoding => "The only transfer encoding here is `chunked`.",
            Self::UnderscoreInName => "A header name with an underscore is not accepted.",
            Self::HeadTooLarge => "The request has too many headers, or too large ones.",
            Self::TargetTooLong => "The address is too long.",
            Self::MethodNotAllowed => "This method is not accepted here.",
            Self::UnknownExpectation => "The only expectation known here is `100-continue`.",
            Self::BadHost => "The request must name exactly one host.",
            Self::Misdirected => "This connection is for another host. A new connection will work.",
            Self::UnknownHost => "There is no site at this address.",
            Self::NotFound => "There is no page at this address.",
            Self::Unauthorized => "This site is protected. Please sign in.",
            Self::SessionForged => "This is no session of this site. Please sign in.",
            Self::SessionOver => "Your session has ended. Please sign in again.",
            Self::SessionRevoked => "Your session was ended by the operator. Please sign in again.",
            Self::SessionElsewhere => "You are signed in elsewhere, and not for this site. Please sign in.",
            Self::OtherSite => "A page of another site may not change anything here in your name.",
            Self::NotOurForm => "This form is not one of ours, or too old. Please open the page again.",
            Self::DoorUnattended => {
                "Nobody can sign in right now. Please try again in a moment; whoever is signed in stays so."
            }
            Self::Blocked => "Your network is not let in here.",
            Self::Scanner => "Your network asked for what is not here, too often. Please come again later.",
            Self::Unproven => "Please wait a moment while your browser is checked.",
            Self::AskedTooOften => "This was asked too often. Please try again later.",
            Self::NoClientCertificate => {
                "This site is for who shows a certificate. Please choose yours and come again."
            }
            Self::UploadStalled => "The rest of the request did not arrive in time.",
            Self::BodyTooLong => "What was sent is larger than this address takes.",
            Self::UploadBroken => "The request broke off before its end.",
            Self::NothingPublished => "This environment is still being set up. Please try again in a moment.",
            Self::RoutesDamaged => {
                "This environment lost its routes. Its operator can publish them again with `roadbed up`."
            }
            Self::AppUnreachable => {
                "The application does not answer right now. It may be restarting; please try again."
            }
            Self::AppBroke => "The application ended the connection before it answered.",
            Self::AppTooSlow => "The application took too long to answer.",
            Self::UpgradeDeclined => "The application has no WebSocket at this address.",
            Self::FileUnreadable => "The file could not be read.",
            Self::NotKept => "There is no stored answer to this, and nothing else was asked for.",
        }
    }

    /// Whether the request is none by HTTP's own rules, whoever asks for whatever.
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::Malformed | Self::AmbiguousLength | Self::BadHost)
    }

    /// Seconds after which it is worth trying again.
    pub fn retry_after(self) -> Option<u16> {
        match self {
            Self::NothingPublished | Self::AppUnreachable | Self::DoorUnattended => Some(5),
            Self::RoutesDamaged => Some(30),
            _ => None,
        }
    }

    /// After a request that was not understood, nobody knows where the next one begins.
    pub fn after(self) -> After {
        match self {
            Self::Malformed
            | Self::AmbiguousLength
            | Self::UnknownTransferEncoding
            | Self::UnderscoreInName
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::MethodNotAllowed
            | Self::UnknownExpectation
            | Self::BadHost
            | Self::Misdirected
            // One is shown at the beginning of a connection or never.
            | Self::NoClientCertificate
            // What is left of its body nobody reads.
            | Self::NotOurForm
            | Self::UploadStalled
            | Self::BodyTooLong
            | Self::UploadBroken => After::Close,
            _ => After::KeepOpen,
        }
    }
}
