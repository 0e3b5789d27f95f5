//! What can be asked of control. Every route, of the API and of control's socket, is one of these.

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal),* $(,)?) => {
        /// Something that somebody may or may not do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $($(#[doc = $doc])* $name,)*
        }

        impl Action {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As records and refusals name it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// The description of the API. It says nothing of an environment.
    ReadDescription = "read-description",
    /// Show a token that a CI signed for its job, and get one of ours.
    ExchangeToken = "exchange-token",
    /// What a token says of itself.
    ReadOwnToken = "read-own-token",
    ReadStatus = "read-status",
    ReadReleases = "read-releases",
    ReadDeployments = "read-deployments",
    ReadGate = "read-gate",
    Deploy = "deploy",
    /// Bring an artifact that was built elsewhere, and have the environment believe it.
    BringArtifact = "bring-artifact",
    Cancel = "cancel",
    Approve = "approve",
    RollBack = "roll-back",
    /// Some checks restart what they look at.
    RunGate = "run-gate",
    /// What only who has the machine does.
    ReadStatistics = "read-statistics",
    Plan = "plan",
    Converge = "converge",
    Rotate = "rotate",
    Smoke = "smoke",
    LogIn = "log-in",
    Lend = "lend",
    KeepTokens = "keep-tokens",
    /// Links, sessions and lists of networks.
    KeepAccess = "keep-access",
    /// Backups, rehearsals and restores.
    KeepBackups = "keep-backups",
    /// What the edge asks for a visitor who wants to come in.
    LetIn = "let-in",
}

impl Action {
    /// Whether it takes no token: it says nothing of an environment, or is the way to get one.
    pub fn takes_no_token(self) -> bool {
        matches!(self, Self::ReadDescription | Self::ExchangeToken)
    }

    /// Whether it changes anything: then it is in the audit log, before it is done.
    pub fn changes_something(self) -> bool {
        match self {
            Self::ReadDescription
            | Self::ReadOwnToken
            | Self::ReadStatus
            | Self::ReadReleases
            | Self::ReadDeployments
            | Self::ReadGate
            | Self::ReadStatistics
            | Self::Plan => false,
            Self::ExchangeToken
            | Self::Deploy
            | Self::BringArtifact
            | Self::Cancel
            | Self::Approve
            | Self::RollBack
            | Self::RunGate
            | Self::Converge
            | Self::Rotate
            | Self::Smoke
            | Self::LogIn
            | Self::Lend
            | Self::KeepTokens
            | Self::KeepAccess
            | Self::KeepBackups
            | Self::LetIn => true,
        }
    }
}
