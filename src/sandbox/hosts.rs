//! Which hosts commands may reach: the user's rules, and the addresses that no name may lead to.
//!
//! Nothing here asks the network. A rule names a host (`pypi.org`), everything below one
//! (`*.pypi.org`), or one address with its port (`127.0.0.1:8080`); only the last kind reaches
//! addresses that are not public.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The ports of a rule that names none.
const WEB: [u16; 2] = [443, 80];

/// A host that commands may reach.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostRule {
    who: Who,
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Who {
    /// This very name.
    Named(String),
    /// Every name that ends in a dot and this one.
    Below(String),
    /// This address.
    Address(IpAddr),
}

/// Why a text is no rule.
#[derive(Debug, Error)]
#[error(
    "`{0}` is no host: write a name such as pypi.org or *.pypi.org, with :PORT if it is not 443 or \
     80, or an address with its port such as 127.0.0.1:8080"
)]
pub struct NoHost(String);

/// How a request may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// To whatever public address the name has.
    ByName,
    /// To this address, which a rule names.
    To(IpAddr),
    /// Not at all.
    Refused(&'static str),
}

/// Returns how a request for this host and port may go on.
pub(super) fn judge(rules: &[HostRule], host: &str, port: u16) -> Verdict {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if let Some(address) = address(&host) {
        let named = |rule: &HostRule| rule.who == Who::Address(address) && rule.port == Some(port);
        return match rules.iter().any(named) {
            true => Verdict::To(address),
            false => Verdict::Refused("no rule names this address and port"),
        };
    }
    if !is_name(&host) {
        return Verdict::Refused("this is no host name");
    }
    match rules.iter().any(|rule| rule.names(&host, port)) {
        true => Verdict::ByName,
        false => Verdict::Refused("no rule names this host and port"),
    }
}

/// Returns whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a, b, c) == (192, 0, 0)
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19));
    !special && (1..224).contains(&a)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Of the global addresses: not those for protocols and tunnels, which can hold a private one.
    first & 0xe000 == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

/// Returns what commands shall not ask the proxy for: their own loopback, except where a rule means
/// the machine's.
pub(super) fn own_loopback(rules: &[HostRule]) -> String {
    let means_machine =
        |rule: &HostRule| matches!(rule.who, Who::Address(address) if address.is_loopback());
    match rules.iter().any(means_machine) {
        true => "localhost".to_owned(),
        false => "localhost,127.0.0.1,::1".to_owned(),
    }
}

impl HostRule {
    fn names(&self, host: &str, port: u16) -> bool {
        let fits = match &self.who {
            Who::Named(name) => host == name,
            Who::Below(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|front| front.ends_with('.'))
            }
            Who::Address(_) => false,
        };
        fits && self.port.map_or_else(|| WEB.contains(&port), |own| own == port)
    }
}

impl FromStr for HostRule {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let bad = || NoHost(text.to_owned());
        let (host, port) = split(text).ok_or_else(bad)?;
        let host = host.to_ascii_lowercase();
        let who = match (address(&host), host.strip_prefix("*.")) {
            (Some(address), _) if port.is_some() => Who::Address(address),
            (None, Some(below)) if is_name(below) && below.contains('.') => {
                Who::Below(below.to_owned())
            }
            // A name that stays on the machine would be refused for its address at every request.
            (None, None) if is_name(&host) && host != "localhost" => Who::Named(host),
            _ => return Err(bad()),
        };
        Ok(Self { who, port })
    }
}

impl TryFrom<String> for HostRule {
    type Error = NoHost;

    fn try_from(text: String) -> Result<Self, NoHost> {
        text.parse()
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Named(name) => to.write_str(name)?,
            Who::Below(name) => write!(to, "*.{name}")?,
            Who::Address(IpAddr::V6(address)) => write!(to, "[{address}]")?,
            Who::Address(address) => write!(to, "{address}")?,
        }
        self.port.map_or(Ok(()), |port| write!(to, ":{port}"))
    }
}

/// Splits `host:port`, the port being absent or a number; the host of `[::1]:80` is `::1`.
pub(super) fn split(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(number(port)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(number(port)?))),
        None => Some((text, None)),
    }
}

fn number(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| plain && *port != 0)
}

/// Reads an address in every form that resolvers take for one, such as `127.1` and `0x7f000001`.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let last = host.rsplit('.').next()?;
    let numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    // No such form is ever a rule, so which address it stands for does not matter.
    (numeric && !last.is_empty()).then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<HostRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn names_are_exact_or_below_and_ports_are_the_webs_unless_named() {
        let rules = rules(&["pypi.org", "*.Example.com", "git.example.net:9418"]);
        for (host, port, passes) in [
            ("pypi.org", 443, true),
            ("PyPI.org.", 80, true),
            ("pypi.org", 8443, false),
            ("evil-pypi.org", 443, false),
            ("pypi.org.evil.net", 443, false),
            ("a.b.example.com", 443, true),
            ("example.com", 443, false),
            ("badexample.com", 443, false),
            ("git.example.net", 9418, true),
            ("git.example.net", 443, false),
            ("pypi.org\r\nX: y", 443, false),
            ("pypi.org/", 443, false),
            ("", 443, false),
        ] {
            let verdict = judge(&rules, host, port);
            assert_eq!(verdict == Verdict::ByName, passes, "{host}:{port} {verdict:?}");
        }
    }

    #[test]
    fn an_address_needs_a_rule_of_its_own() {
        let rules = rules(&["127.0.0.1:8080", "[::1]:9", "*.example.com", "a.example"]);
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(judge(&rules, "127.0.0.1", 8080), Verdict::To(local));
        assert_eq!(judge(&rules, "::1", 9), Verdict::To(Ipv6Addr::LOCALHOST.into()));
        for (host, port) in [
            ("127.0.0.1", 80),
            ("127.1", 8080),
            ("0x7f000001", 8080),
            ("2130706433", 8080),
            ("0177.0.0.1", 8080),
            ("169.254.169.254", 80),
            ("8.8.8.8", 443),
            ("::ffff:127.0.0.1", 8080),
        ] {
            assert!(matches!(judge(&rules, host, port), Verdict::Refused(_)), "{host}:{port}");
        }
    }

    #[test]
    fn odd_spellings_reach_nothing_that_no_rule_names() {
        let rules = rules(&["pypi.org", "*.example.com", "127.0.0.1:8080"]);
        for (host, port) in [
            ("127.0.0.1.", 80),
            ("0x7f.1", 8080),
            ("017700000001", 8080),
            ("127.0.0.0x1", 8080),
            ("1.0x7f", 443),
            ("\u{2460}\u{2461}\u{2466}.0.0.1", 8080),
            ("fe80::1%eth0", 443),
            ("::127.0.0.1", 8080),
            ("::1", 8080),
            ("pypi\u{3002}org", 443),
            ("p\u{443}pi.org", 443),
            ("xn--pi-jlc.org", 443),
            ("pypi.org%00.evil.org", 443),
            ("pypi.org\0", 443),
            ("pypi.org#.evil.org", 443),
            ("pypi.org\\.evil.org", 443),
            ("user@pypi.org", 443),
            (".example.com", 443),
            ("example.com.evil.org", 443),
            ("a..example.com", 443),
            ("*.example.com", 443),
        ] {
            assert!(matches!(judge(&rules, host, port), Verdict::Refused(_)), "{host}:{port}");
        }
        for text in ["pypi.org:443:443", "pypi.org:+443", "pypi.org:65536", "[::1]x:1", "[::1:1"] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_reason() {
        for bad in [
            "",
            "*",
            "*.com",
            "http://a.b",
            "a b",
            "a:0",
            "a:+1",
            "10.0.0.1",
            "a..b",
            "*.*.a.b",
            "localhost:80",
        ] {
            let parsed = bad.parse::<HostRule>();
            assert!(parsed.is_err(), "{bad} {parsed:?}");
        }
        for good in ["pypi.org", "*.a.b", "10.0.0.1:5", "[::1]:80", "a.b:8443"] {
            assert_eq!(good.parse::<HostRule>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn only_public_addresses_are_reached_by_name() {
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for other in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(other.parse().unwrap()), "{other}");
        }
    }
}
