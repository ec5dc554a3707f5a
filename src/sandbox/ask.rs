//! What a client asks the proxy for: the head of one request, read strictly.
//!
//! Whatever two programs could read differently is refused, not interpreted: folded lines, two
//! lengths, chunks, a user in the address. The host of the first line is the only one that counts.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::sandbox::hosts;

/// The longest head.
const MOST_HEAD: usize = 16 << 10;
/// Header fields that are for the proxy, or that it writes itself.
const DROPPED: [&str; 8] = [
    "host",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "content-length",
];

/// A request.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    /// The host, in lower case.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// What to do once connected.
    pub(super) way: Way,
}

/// What to do once connected.
#[derive(Debug, PartialEq)]
pub(super) enum Way {
    /// Pass everything both ways.
    Tunnel,
    /// Pass one request on.
    Forward {
        /// Its head, as the server wants it.
        head: Vec<u8>,
        /// The length of its body.
        body: u64,
    },
}

/// A request with what came behind its head.
#[derive(Debug)]
pub(super) struct Asked {
    /// The request.
    pub(super) ask: Ask,
    /// The bytes that followed.
    pub(super) rest: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum BadAsk {
    /// The client is gone.
    Gone(io::Error),
    /// It is not understood.
    Wrong(&'static str),
}

impl Ask {
    /// Reads a request's head and whatever comes with it.
    pub(super) async fn read(client: &mut TcpStream) -> Result<Asked, BadAsk> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() > MOST_HEAD {
                return Err(BadAsk::Wrong("the request's head is too long"));
            }
            match client.read_buf(&mut bytes).await {
                Ok(0) => return Err(BadAsk::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(BadAsk::Gone(error)),
            }
        };
        let rest = bytes.split_off(end + 4);
        let head = std::str::from_utf8(&bytes[..end]);
        let head = head.map_err(|_| BadAsk::Wrong("the request's head is no text"))?;
        Ok(Asked { ask: parse(head).map_err(BadAsk::Wrong)?, rest })
    }
}

fn parse(head: &str) -> Result<Ask, &'static str> {
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else {
        return Err("this is no request for a proxy");
    };
    if method == "CONNECT" {
        let (host, port) = hosts::split(target).ok_or("this is no host")?;
        let port = port.ok_or("the port is missing")?;
        return Ok(Ask { host: host.to_ascii_lowercase(), port, way: Way::Tunnel });
    }
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err("this is no method");
    }
    let (host, port, path) = address(target)?;
    let (body, fields) = fields(lines)?;
    let named = if port == 80 { host.clone() } else { format!("{host}:{port}") };
    let named =
        if host.contains(':') { named.replacen(&host, &format!("[{host}]"), 1) } else { named };
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n");
    if body > 0 {
        head.push_str(&format!("Content-Length: {body}\r\n"));
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    Ok(Ask { host, port, way: Way::Forward { head: head.into_bytes(), body } })
}

/// Splits `http://host:port/path`.
fn address(target: &str) -> Result<(String, u16, String), &'static str> {
    let rest = target.strip_prefix("http://").ok_or("only http:// and CONNECT are served")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') || target.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("this is no address");
    }
    let (host, port) = hosts::split(authority).ok_or("this is no host")?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((host.to_ascii_lowercase(), port.unwrap_or(80), path))
}

/// Returns the length of the body and the fields to pass on.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<(u64, Vec<&'a str>), &'static str> {
    let (mut body, mut kept) = (None, Vec::new());
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header field has no name")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) || value.contains(['\r', '\n', '\0']) {
            return Err("a header field is malformed");
        }
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => return Err("a body needs a length"),
            "content-length" => {
                let value = value.trim();
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits).ok_or("this is no length")?;
                if body.replace(length).is_some() {
                    return Err("a request has one length");
                }
            }
            lower if DROPPED.contains(&lower) || lower.starts_with("proxy-") => {}
            _ => kept.push(line),
        }
    }
    Ok((body.unwrap_or(0), kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_on_as_the_server_wants_it() {
        let ask = parse(
            "POST http://Example.org:8080?q HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nA: b",
        );
        let head = b"POST /?q HTTP/1.1\r\nHost: example.org:8080\r\nConnection: close\r\nContent-Length: 3\r\nA: b\r\n\r\n";
        let way = Way::Forward { head: head.to_vec(), body: 3 };
        assert_eq!(ask, Ok(Ask { host: "example.org".to_owned(), port: 8080, way }));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "GET / HTTP/1.1",
            "GET https://a.b/ HTTP/1.1",
            "GET http://good@evil/ HTTP/1.1",
            "GET  http://a.b/ HTTP/1.1",
            "CONNECT a.b HTTP/1.1",
            "CONNECT a.b:443:80 HTTP/1.1",
            "POST http://a.b/ HTTP/1.1\r\nTransfer-Encoding: chunked",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
            "POST http://a.b/ HTTP/1.1\r\nContent-Length: +1",
            "GET http://a.b/ HTTP/1.1\r\nA: b\r\n folded: x",
            "GET http://a.b/ HTTP/1.1\r\nHost : x",
            "GET http://a.b/ HTTP/1.1\r\nA: b\nHost: evil",
            "get http://a.b/ HTTP/1.1",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} {:?}", parse(bad));
        }
    }
}
