//! The port that commands of a place may listen on: `GRAFTER_PORT`.
//!
//! Where each sandbox has a network of its own, it is the same port in all of them. Elsewhere places
//! share the machine's loopback, so each has a port that no other place of any process has: whoever
//! holds the number's UDP half has leased its TCP half, and the kernel ends the lease with its holder.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::sandbox::probe::Backend;

/// The variable.
pub(super) const NAME: &str = "GRAFTER_PORT";
/// The ports that are leased, below those that systems give to outgoing connections; the first one
/// is everybody's who has a network of his own.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A port that nobody else has.
#[derive(Debug)]
pub(super) struct Port {
    /// Its number.
    pub(super) number: u16,
    _lease: Option<UdpSocket>,
}

impl Port {
    /// Returns a port for a place that is confined like that; none if all are taken.
    pub(super) fn lease(backend: Backend) -> Option<Self> {
        if backend.has_own_view() {
            return Some(Self { number: PORTS.start, _lease: None });
        }
        PORTS.into_iter().find_map(|number| {
            let lease = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            Some(Self { number, _lease: Some(lease) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_on_one_network_have_two_ports_that_are_free_to_listen_on() {
        let one = Port::lease(Backend::None).unwrap();
        let other = Port::lease(Backend::None).unwrap();
        assert_ne!(one.number, other.number);
        TcpListener::bind((Ipv4Addr::LOCALHOST, one.number)).unwrap();
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_leased() {
        let free = Port::lease(Backend::None).unwrap();
        let number = free.number;
        drop(free);
        // Another test may just be looking at it.
        let Ok(_listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) else { return };
        assert_ne!(Port::lease(Backend::None).unwrap().number, number);
    }
}
