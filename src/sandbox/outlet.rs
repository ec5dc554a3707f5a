//! The proxy's listening socket: made inside a sandbox, used outside.
//!
//! A socket stays in the network namespace it was made in, whoever holds it. So nothing inside has
//! to pass bytes on, and there is no file that a command could find.

use std::{
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Variables that lead programs to a proxy.
const PROXY: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
/// Variables that keep them from it.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Makes the socket, hands it out on standard output and returns the variables that name it.
pub(super) fn hand_out(no_proxy: &str) -> io::Result<Vec<(OsString, OsString)>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [listener.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(io::stdout(), &[IoSlice::new(b"s")], &mut control, SendFlags::empty())?;
    let to = PROXY.iter().map(|name| (OsString::from(name), OsString::from(&address)));
    let not = NO_PROXY.iter().map(|name| (OsString::from(name), OsString::from(no_proxy)));
    // Node.js does not look at the others without it.
    Ok(to.chain(not).chain([("NODE_USE_ENV_PROXY".into(), "1".into())]).collect())
}

/// Takes the socket that a helper has handed out; does not wait for it.
pub(super) fn take(from: &UnixStream) -> io::Result<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "the helper handed out no socket");
    socket.map(|socket: OwnedFd| TcpListener::from(socket)).ok_or_else(missing)
}
