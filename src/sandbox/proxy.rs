//! The one way out of a sandbox: a proxy on grafter's side, for the hosts that the user named.
//!
//! Its listening socket is made inside, on the loopback of the empty network namespace, and handed
//! out; so commands see a proxy on 127.0.0.1, while names are looked up and connections made out
//! here, after the user's rules. A name never leads to an address that is not public: the address
//! that was looked at is the one connected to. Each host is reported once for each outcome.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, lookup_host},
    sync::mpsc::UnboundedSender,
    task::JoinSet,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use crate::sandbox::{
    ask::{Ask, Asked, BadAsk, Way},
    hosts::{HostRule, Verdict, is_public, judge},
};

/// Connections at once.
const MOST: usize = 64;
/// Between a connection and the end of its request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// For a name's addresses and a connection to one of them.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// How long a connection may last.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// What may pass one way in a connection.
const MOST_BYTES: u64 = 4 << 30;
/// Hosts that are reported; a program that asks for more is after something else.
const MOST_REPORTS: usize = 1000;

/// A host that a command reached, or wanted to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Contact {
    /// The host as the command named it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Why it was not reached; none if it was.
    pub refused: Option<String>,
}

/// Whom and what a proxy serves.
#[derive(Debug)]
struct Gate {
    rules: Vec<HostRule>,
    reports: Option<UnboundedSender<Contact>>,
    reported: Mutex<BTreeSet<Contact>>,
}

/// Serves this listener until the handle is dropped.
pub(super) fn serve(
    listener: std::net::TcpListener,
    rules: Vec<HostRule>,
    reports: Option<UnboundedSender<Contact>>,
) -> io::Result<AbortOnDropHandle<()>> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let gate = Arc::new(Gate { rules, reports, reported: Mutex::default() });
    let task = tokio::spawn(async move {
        // They end with this task.
        let mut served = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            while served.try_join_next().is_some() {}
            if served.len() >= MOST {
                served.join_next().await;
            }
            let gate = gate.clone();
            served.spawn(async move { timeout(LIFE, gate.serve(client)).await });
        }
    });
    Ok(AbortOnDropHandle::new(task))
}

impl Gate {
    /// Answers one request; a client that goes away is nobody's loss.
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let asked = match timeout(HEAD_TIME, Ask::read(&mut client)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(BadAsk::Gone(error))) => return Err(error),
            Ok(Err(BadAsk::Wrong(why))) => return refuse(client, "400 Bad Request", why).await,
            Err(_) => return refuse(client, "408 Request Timeout", "no request came").await,
        };
        let Asked { ask, rest } = asked;
        let server = match self.connect(&ask).await {
            Ok(server) => server,
            Err(why) => {
                let text = format!("{}:{}: {why}", ask.host, ask.port);
                self.report(&ask, Some(why));
                return refuse(client, "403 Forbidden", &text).await;
            }
        };
        self.report(&ask, None);
        match ask.way {
            Way::Tunnel => tunnel(client, server, &rest).await,
            Way::Forward { head, body } => forward(client, server, (&head, &rest, body)).await,
        }
    }

    async fn connect(&self, ask: &Ask) -> Result<TcpStream, String> {
        let connected = timeout(CONNECT_TIME, async {
            let addresses = match judge(&self.rules, &ask.host, ask.port) {
                Verdict::Refused(why) => return Err(format!("{why} in `hosts` of [sandbox]")),
                Verdict::To(address) => vec![SocketAddr::new(address, ask.port)],
                Verdict::ByName => public_addresses(&ask.host, ask.port).await?,
            };
            TcpStream::connect(addresses.as_slice()).await.map_err(|error| error.to_string())
        });
        connected.await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    fn report(&self, ask: &Ask, refused: Option<String>) {
        let contact = Contact { host: ask.host.clone(), port: ask.port, refused };
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() < MOST_REPORTS
            && reported.insert(contact.clone())
            && let Some(reports) = &self.reports
        {
            let _ = reports.send(contact);
        }
    }
}

async fn public_addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = lookup_host((host, port)).await.map_err(|error| error.to_string())?;
    let public = only_public(found.map(|found| found.ip()));
    if public.is_empty() {
        return Err("its name leads to no public address".to_owned());
    }
    Ok(public.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

fn only_public(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    addresses.filter(|address| is_public(*address)).collect()
}

/// Passes bytes both ways until both sides have ended.
async fn tunnel(mut client: TcpStream, mut server: TcpStream, early: &[u8]) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    server.write_all(early).await?;
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let up = async {
        copy(&mut from_client.take(MOST_BYTES), &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        copy(&mut from_server.take(MOST_BYTES), &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// Passes one request on and its answer back; what follows the request is not listened to, because
/// it could be meant for another host.
async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    (head, early, body): (&[u8], &[u8], u64),
) -> io::Result<()> {
    server.write_all(head).await?;
    let early = &early[..early.len().min(usize::try_from(body).unwrap_or(usize::MAX))];
    server.write_all(early).await?;
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let left = body - early.len() as u64;
    let up = async {
        copy(&mut from_client.take(left.min(MOST_BYTES)), &mut to_server).await?;
        std::future::pending::<io::Result<()>>().await
    };
    let down = async {
        copy(&mut from_server.take(MOST_BYTES), &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        sent = up => sent,
        answered = down => answered,
    }
}

async fn refuse(mut client: TcpStream, status: &str, why: &str) -> io::Result<()> {
    let text = format!("grafter: {why}\n");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    async fn say(to: SocketAddr, text: &str) -> String {
        let mut client = TcpStream::connect(to).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// A server that answers every connection with what it heard, after its first empty line.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut heard = Vec::new();
                while !heard.ends_with(b"\r\n\r\n")
                    && client.read_buf(&mut heard).await.unwrap() > 0
                {}
                let _ = client.write_all(&[b"heard: ", heard.as_slice()].concat()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn only_what_a_rule_names_is_reached_and_all_is_reported_once() {
        let server = echo().await;
        let rules = vec![server.to_string().parse().unwrap(), "pypi.org".parse().unwrap()];
        let (reports, mut reported) = unbounded_channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = listener.local_addr().unwrap();
        let task = serve(listener, rules, Some(reports)).unwrap();

        let tunnel = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\nraw\r\n\r\n");
        let said = say(proxy, &tunnel).await;
        assert_eq!(said, "HTTP/1.1 200 Connection established\r\n\r\nheard: raw\r\n\r\n");

        let plain = format!(
            "GET http://{server}/a?b HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\n\
             Accept: */*\r\n\r\nGET http://other.example/ HTTP/1.1\r\n\r\n"
        );
        let said = say(proxy, &plain).await;
        let heard = format!(
            "heard: GET /a?b HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nAccept: */*\r\n\r\n"
        );
        assert_eq!(said, heard, "nothing of the second request");

        for _ in 0..2 {
            let said = say(proxy, "CONNECT evil.example:443 HTTP/1.1\r\n\r\n").await;
            assert!(said.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{said}");
            assert!(said.contains("evil.example:443: no rule names this host"), "{said}");
        }
        for target in ["169.254.169.254:80", "pypi.org:22", "127.0.0.1:1"] {
            let said = say(proxy, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
            assert!(said.starts_with("HTTP/1.1 403"), "{target} {said}");
        }
        let said = say(proxy, "hello\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
        drop(task);
        let mut all = Vec::new();
        while let Some(contact) = reported.recv().await {
            all.push((format!("{}:{}", contact.host, contact.port), contact.refused.is_none()));
        }
        let reached = [(server.to_string(), true)];
        let refused = ["evil.example:443", "169.254.169.254:80", "pypi.org:22", "127.0.0.1:1"];
        let refused = refused.map(|host| (host.to_owned(), false));
        assert_eq!(all, [reached.to_vec(), refused.to_vec()].concat());
    }

    #[test]
    fn a_name_that_leads_home_leads_nowhere() {
        let all = ["127.0.0.1", "10.0.0.7", "1.1.1.1", "::1"].map(|text| text.parse().unwrap());
        let public: Vec<IpAddr> = vec!["1.1.1.1".parse().unwrap()];
        assert_eq!(only_public(all.into_iter()), public);
    }
}
