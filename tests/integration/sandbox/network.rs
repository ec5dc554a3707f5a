//! The network of a sandbox: none, but for hosts that the user named.

use std::{
    fs,
    net::SocketAddr,
    os::linux::net::SocketAddrExt,
    os::unix::fs::PermissionsExt,
    os::unix::net::{SocketAddr as UnixAddr, UnixListener},
};

use grafter::sandbox::{probe::Backend, proxy::Contact};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::{HELPER, Host, backends, folder, views};
use crate::server::saying;

/// A server of the machine that answers whoever comes.
fn server() -> SocketAddr {
    saying("reached\n")
}

#[tokio::test]
async fn commands_reach_the_hosts_that_the_user_named_and_no_others() {
    for backend in views() {
        let (named, other) = (server(), server());
        let (contacts, mut reported) = unbounded_channel();
        let host = Host::with(backend, |_, spec| {
            spec.options.hosts = vec![named.to_string().parse().expect("a rule")];
            spec.contacts = Some(contacts);
        })
        .await;
        let script = format!(
            "python3 - <<'END'\n\
             import urllib.request, urllib.error\n\
             for url in ('http://{named}/', 'http://{other}/', 'http://evil.example/', 'http://169.254.169.254/'):\n\
             \x20   try:\n\
             \x20       print(urllib.request.urlopen(url, timeout=20).read().decode().strip())\n\
             \x20   except urllib.error.HTTPError as error:\n\
             \x20       print(error.code)\n\
             END"
        );
        assert_eq!(host.says(&script).await, "reached\n403\n403\n403\n", "{backend}");
        host.place.close().await;
        let mut seen = Vec::new();
        while let Ok(Contact { host, port, refused }) = reported.try_recv() {
            seen.push((format!("{host}:{port}"), refused.is_none()));
        }
        let all = [
            (named.to_string(), true),
            (other.to_string(), false),
            ("evil.example:80".to_owned(), false),
            ("169.254.169.254:80".to_owned(), false),
        ];
        assert_eq!(seen, all);
    }
}

#[tokio::test]
async fn without_named_hosts_there_is_no_proxy() {
    for backend in backends() {
        let host = Host::new(backend).await;
        assert_eq!(host.says("env | grep -ci proxy").await, "0\n", "{backend}");
    }
}

#[tokio::test]
async fn names_are_not_looked_up_and_sockets_of_other_programs_not_reached() {
    let name = format!("grafter-test-{}", std::process::id());
    let address = UnixAddr::from_abstract_name(&name).expect("a name");
    let _abstract = UnixListener::bind_addr(&address).expect("bound");
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        let _hidden = UnixListener::bind(host.path("state/s")).expect("bound");
        let script = format!(
            "python3 - <<'END'\n\
             import socket\n\
             def attempt(what):\n\
             \x20   try:\n\
             \x20       what()\n\
             \x20       print('reached')\n\
             \x20   except OSError:\n\
             \x20       print('refused')\n\
             attempt(lambda: socket.getaddrinfo('example.org', 80))\n\
             attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))\n\
             attempt(lambda: socket.socket(socket.AF_UNIX).connect('{}'))\n\
             attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53)))\n\
             attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))\n\
             attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))\n\
             attempt(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))\n\
             attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))\n\
             END",
            host.path("state/s").display(),
        );
        assert_eq!(host.says(&script).await, "refused\n".repeat(8), "{backend}");
    }
}

/// A helper that stands for the moment between the look and the start: the socket goes away in it.
#[tokio::test]
async fn a_socket_that_went_away_before_bubblewrap_hid_it_stopped_the_sandbox() {
    if !super::works("bubblewrap", Backend::Bubblewrap) {
        return;
    }
    let folder = TempDir::new_in(folder()).expect("a folder");
    let (socket, helper) = (folder.path().join("s"), folder.path().join("helper"));
    let _listens = UnixListener::bind(&socket).expect("bound");
    let script = format!(
        "#!/bin/sh\nif [ -e {s} ]; then rm {s}; exit 1; fi\nexec {HELPER} \"$@\"\n",
        s = socket.display()
    );
    fs::write(&helper, script).expect("written");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("set");
    let host = Host::with(Backend::Bubblewrap, |_, spec| spec.helper = helper).await;
    assert_eq!(host.says("echo here").await, "here\n");
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_of_the_machine_in_a_folder_in_sight_could_be_connected_to() {
    if super::is_masked() {
        return;
    }
    for backend in views() {
        let mut shown = None;
        let host = Host::with(backend, |root, _| {
            shown = Some(UnixListener::bind(root.join("outside/s")).expect("bound"));
        })
        .await;
        let script = format!(
            "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('{}')\" 2>&1",
            host.path("outside/s").display()
        );
        assert!(host.says(&script).await.contains("Connection refused"), "{backend}");
        let shown = shown.expect("bound above");
        shown.set_nonblocking(true).expect("set");
        assert!(shown.accept().is_err(), "{backend}");
    }
}

#[tokio::test]
async fn what_programs_ask_of_an_empty_network_works() {
    for backend in views() {
        let host = Host::new(backend).await;
        let script = "python3 - <<'END'\n\
             import asyncio, multiprocessing, socket\n\
             print(socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM)[-1][4][:2])\n\
             print(socket.if_nameindex())\n\
             asyncio.run(asyncio.sleep(0))\n\
             with multiprocessing.Pool(2) as pool:\n\
             \x20   print(pool.map(abs, [-1, 2]))\n\
             END\n\
             if command -v node > /dev/null; then node -e \
             'console.log(Object.keys(require(\"os\").networkInterfaces()).join())'; else echo lo; fi";
        let said = host.says(script).await;
        assert_eq!(said, "('127.0.0.1', 80)\n[(1, 'lo')]\n[1, 2]\nlo\n", "{backend}");
    }
}
