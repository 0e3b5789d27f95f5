//! Who may reach an environment, and by which of the machine's addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::record::{choice, record};
use crate::shape::{self, text_shape};
use crate::source::At;

record! {
    /// Who may reach an environment. Inside it the rule is `needs`: an app reaches the services and apps that it needs.
    pub(crate) struct NetworkTable {
        /// Address of this machine that visitors come in on. Default: loopback where the domain ends with `.localhost`, otherwise
        /// every address.
        bind: Option<At<BindAddress>>,
        /// Addresses that lead here although they are not this machine's, such as a load balancer's.
        addresses: Vec<At<BindAddress>> = [],
        /// Networks that visitors may come from. Default: everywhere.
        visitors: At<Vec<At<Network>>> = [],
        /// Networks of load balancers and CDNs in front of it: they are believed about who a visitor is (`X-Forwarded-For`). Nobody
        /// else is.
        proxies: Vec<At<Network>> = [],
        /// Whether those begin each connection with the PROXY protocol. Then one of theirs that does not is refused.
        proxy_protocol: At<bool> = false,
        /// What to do where the machine does not let the rules be enforced by its packet filter.
        enforce: At<Enforce> = "when-possible",
    }
}

choice! {
    /// Whether the machine's packet filter (nftables) must hold the rules. Bind addresses and passwords hold either way.
    pub enum Enforce {
        /// It does where it can; `status` says whether.
        WhenPossible = "when-possible",
        /// Without it the environment does not come up.
        Required = "required",
        /// It is left alone.
        Off = "off",
    }
}

/// Who may reach an environment, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachability {
    /// `None`: what the domain suggests.
    pub bind: Option<IpAddr>,
    /// Addresses of others that lead here.
    pub addresses: Vec<IpAddr>,
    /// Empty: everybody.
    pub visitors: Vec<IpNet>,
    /// Who is believed about who a visitor is.
    pub proxies: Vec<IpNet>,
    /// Whether those begin each connection with the PROXY protocol.
    pub proxy_protocol: bool,
    pub enforce: Enforce,
}

impl NetworkTable {
    pub(crate) fn resolve(&self) -> Reachability {
        Reachability {
            bind: self.bind.as_ref().map(|bind| bind.0),
            addresses: self.addresses.iter().map(|address| address.0).collect(),
            visitors: self.visitors.iter().map(|network| network.0).collect(),
            proxies: self.proxies.iter().map(|network| network.0).collect(),
            proxy_protocol: self.proxy_protocol.value,
            enforce: self.enforce.value,
        }
    }
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BindAddress(IpAddr);

impl shape::Text for BindAddress {
    const WANTS: &'static str = "an IP address";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1", "0.0.0.0", "10.0.0.7"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        text.parse()
            .map(Self)
            .map_err(|_| Some("write an address of this machine: \"0.0.0.0\" is all of them".to_owned()))
    }

    fn stand_in() -> Self {
        Self(IpAddr::from([127, 0, 0, 1]))
    }
}
text_shape!(BindAddress);

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(IpNet);

impl Network {
    pub(crate) fn is_everybody(self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl shape::Text for Network {
    const WANTS: &'static str = "a network such as \"10.0.0.0/8\"";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.0/8", "203.0.113.7", "2001:db8::/32"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            // Else it would be read as a typing mistake by one and as a rule by another.
            Ok(network) if network.trunc() != network => Err(Some(format!("did you mean \"{}\"?", network.trunc()))),
            Ok(network) => Ok(Self(network)),
            Err(_) => Err(Some("write an address, or an address and the length of its prefix".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self(IpNet::from(IpAddr::from([127, 0, 0, 1])))
    }
}
text_shape!(Network);
