//! grafter's end of a sandbox: starts it, sends one command at a time, reads the answers.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    process::Stdio,
    thread,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::sandbox::{
    bubblewrap,
    kin::Reach,
    launch::{self, Launched},
    lock::Pass,
    outlet,
    place::PlaceSpec,
    probe, proxy,
    run::{Cmd, Ran, RunError},
    running::GRACE,
    serve::Server,
    wire::{Confine, End, Order, Ready, Reply, Request, Setup},
};

/// How long a sandbox may take to start.
const START: Duration = Duration::from_secs(20);
/// How much later than its deadline a command may be answered.
const MARGIN: Duration = Duration::from_secs(10);

/// A running sandbox. Dropping it ends everything inside.
#[derive(Debug)]
pub(super) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    helper: Option<Launched>,
    next: u64,
    /// Ends with the sandbox.
    _proxy: Option<AbortOnDropHandle<()>>,
}

impl Client {
    /// Starts a sandbox, which holds its writer's lock until the last of it has ended; returns it
    /// with the notes about what is weaker than asked for.
    pub(super) async fn start(
        spec: &PlaceSpec,
        setup: Setup,
        pass: Option<&Pass>,
    ) -> Result<(Self, Vec<String>), RunError> {
        let failed = |error: io::Error| RunError::Start { why: error.to_string() };
        if matches!(setup.confine, Confine::Nothing) {
            return Self::beside(setup).map_err(failed);
        }
        loop {
            let covered = match &setup.confine {
                Confine::Bubblewrap(view) => bubblewrap::covered(view),
                _ => Vec::new(),
            };
            let started = Self::attempt(spec, &setup, pass).await;
            // It is over when nothing goes away any more; nothing is added.
            if started.is_ok() || covered.iter().all(|path| path.exists()) {
                return started;
            }
        }
    }

    async fn attempt(
        spec: &PlaceSpec,
        setup: &Setup,
        pass: Option<&Pass>,
    ) -> Result<(Self, Vec<String>), RunError> {
        let failed = |error: io::Error| RunError::Start { why: error.to_string() };
        let (ours, theirs) = outlet(setup).map_err(failed)?;
        let hold = pass.map(Pass::hold).transpose().map_err(failed)?.unwrap_or_else(Stdio::null);
        let helper = launch::start(&spec.helper, setup, (theirs, hold)).map_err(failed)?;
        let socket = helper.socket.try_clone().map_err(failed)?;
        let mut client = Self::on(socket, Some(helper)).map_err(failed)?;
        let ready = timeout(START, client.line()).await.unwrap_or_else(|late| Err(late.into()));
        match ready {
            Ok(Ready::Serving(standing)) => {
                if let Some(ours) = ours {
                    let (hosts, contacts) = (spec.options.hosts.clone(), spec.contacts.clone());
                    let proxy = outlet::take(&ours)
                        .and_then(|listener| proxy::serve(listener, hosts, contacts));
                    client._proxy = Some(proxy.map_err(failed)?);
                }
                Ok((client, standing.weaker))
            }
            Ok(Ready::Failed(why)) => {
                probe::forget();
                Err(RunError::Start { why })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Serves from a thread of this process: without confinement a helper would only cost.
    fn beside(setup: Setup) -> io::Result<(Self, Vec<String>)> {
        let (ours, theirs) = StdStream::pair()?;
        let server = Server::new(theirs, setup, Reach::Group);
        thread::Builder::new().name("commands".to_owned()).spawn(move || server.serve())?;
        let notes = vec!["commands are not confined at all".to_owned()];
        Ok((Self::on(ours, None)?, notes))
    }

    fn on(socket: StdStream, helper: Option<Launched>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(socket)?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, helper, next: 1, _proxy: None })
    }

    /// Runs one command to its end, its deadline or its cancellation.
    pub(super) async fn run(
        &mut self,
        cmd: Cmd,
        cancel: &CancellationToken,
    ) -> Result<Ran, RunError> {
        let lost = |error: io::Error| RunError::Lost { why: error.to_string() };
        let id = self.next;
        self.next += 1;
        let (most, max_output) = (cmd.deadline.saturating_add(GRACE + MARGIN), cmd.max_output);
        self.send(&Order::Run(request(id, cmd))).await.map_err(lost)?;
        let mut told = false;
        let answer = {
            let Self { reader, writer, .. } = self;
            let answer = timeout(most, read_reply(reader, max_output));
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    answer = &mut answer => break answer,
                    () = cancel.cancelled(), if !told => {
                        told = true;
                        send(writer, &Order::Cancel(id)).await.map_err(lost)?;
                    }
                }
            }
        };
        let (reply, output) = answer.unwrap_or_else(|late| Err(late.into())).map_err(lost)?;
        match reply.end {
            _ if reply.id != id => Err(RunError::Lost { why: "it answers out of turn".to_owned() }),
            End::Ran(end) => {
                Ok(Ran { end, output, dropped: reply.dropped, took_ms: reply.took_ms })
            }
            End::Cancelled => Err(RunError::Cancelled),
            End::Refused(why) => Err(RunError::Refused { why }),
        }
    }

    /// Ends everything inside; returns when it has ended.
    pub(super) async fn close(mut self) {
        let helper = self.helper.take();
        let _ = tokio::task::spawn_blocking(move || drop(helper)).await;
    }

    async fn send(&mut self, order: &Order) -> io::Result<()> {
        send(&mut self.writer, order).await
    }

    async fn line<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        line(&mut self.reader).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            helper.end();
            // Whoever drops a client is often a task, which must not wait for other processes.
            let _ = thread::Builder::new().spawn(move || drop(helper));
        }
    }
}

/// Returns both ends of the way by which the proxy's socket comes out, if there is to be one.
fn outlet(setup: &Setup) -> io::Result<(Option<StdStream>, Stdio)> {
    if setup.no_proxy.is_none() {
        return Ok((None, Stdio::null()));
    }
    let (ours, theirs) = StdStream::pair()?;
    Ok((Some(ours), OwnedFd::from(theirs).into()))
}

async fn send(to: &mut OwnedWriteHalf, order: &Order) -> io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    to.write_all(&line).await
}

async fn line<T: DeserializeOwned>(from: &mut BufReader<OwnedReadHalf>) -> io::Result<T> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line).await? == 0 {
        let text = "its process ended without an answer";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    Ok(serde_json::from_slice(&line)?)
}

async fn read_reply(
    from: &mut BufReader<OwnedReadHalf>,
    max_output: usize,
) -> io::Result<(Reply, Vec<u8>)> {
    let reply: Reply = line(from).await?;
    if reply.len > max_output {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
    }
    let mut output = vec![0; reply.len];
    from.read_exact(&mut output).await?;
    Ok((reply, output))
}

fn request(id: u64, cmd: Cmd) -> Request {
    let deadline_ms = u64::try_from(cmd.deadline.as_millis()).unwrap_or(u64::MAX);
    let Cmd { job, cwd, env, max_output, .. } = cmd;
    Request { id, job, cwd, env, deadline_ms, max_output }
}
