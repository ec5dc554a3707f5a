//! What grafter costs beside its model: a whole run against a model server that answers at once.
//!
//! ```text
//! cargo build --release && cargo run --release --example turn_cost [SERVER]
//! ```
//!
//! In a fresh repository of 100 files the release `grafter` runs `solo.yaml` with
//! `--verify true --fresh --mode bypass`, sandbox on: 20 turns with a shell command each, the last
//! of which writes a file, then `finish`. Medians of five runs are printed; five more are sampled
//! for memory, so that the sampling does not disturb the times. SERVER is a Python script that is
//! started with `--port 0 --port-file FILE --script FILE` and tells what it saw at `/__stats`, or
//! the address of one that runs already; without it a small server inside this program answers.
//! `GRAFTER` names another binary than the one beside this program.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RUNS: usize = 5;
const FILES: usize = 100;
const TURNS: usize = 20;
const LAST_COMMAND: &str = "echo written > note.txt";

fn main() -> Outcome<()> {
    // Whatever grafter leaves running becomes this program's child, and is counted, too.
    set_child_subreaper(Some(getpid()))?;
    let server = Server::start(env::args().nth(1).as_deref())?;
    let grafter = match env::var_os("GRAFTER") {
        Some(path) => PathBuf::from(path),
        None => env::current_exe()?.ancestors().nth(2).ok_or("no folder")?.join("grafter"),
    };
    // Making a file next to files deleted seconds ago costs more (ext4 walks past their inodes), so
    // all runs' folders stay until the end.
    let folder = tempfile::tempdir()?;
    let bench = Bench { grafter, server, folder: folder.path() };
    // The first run warms the caches.
    bench.run("warm", Sampling::Off)?;
    let mut costs = Vec::new();
    let mut memory = Vec::new();
    for round in 0..RUNS {
        costs.push(bench.run(&format!("time{round}"), Sampling::Off)?);
        memory.push(bench.run(&format!("memory{round}"), Sampling::On)?);
    }
    let times = |of: fn(&Cost) -> f64| costs.iter().map(of).collect::<Vec<_>>();
    report("a turn", "ms", 5.0, times(|cost| cost.turn * 1e3));
    report("first request after start", "ms", 60.0, times(|cost| cost.first * 1e3));
    report("whole run, wall", "s", 0.20, times(|cost| cost.wall));
    report("whole run, CPU with children", "s", 0.12, times(|cost| cost.cpu));
    let peaks = |of: fn(&Cost) -> f64| memory.iter().map(of).collect::<Vec<_>>();
    report("peak memory, shared pages once", "MB", 40.0, peaks(|cost| cost.peak.once));
    report("peak memory, sum of the tree", "MB", 40.0, peaks(|cost| cost.peak.sum));
    report("first request with tools", "KB", 16.0, times(|cost| cost.body / 1024.0));
    Ok(())
}

/// What one run cost, in seconds, megabytes and bytes.
struct Cost {
    turn: f64,
    first: f64,
    wall: f64,
    cpu: f64,
    peak: Peak,
    body: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Sampling {
    On,
    Off,
}

/// What all runs share.
struct Bench<'a> {
    grafter: PathBuf,
    server: Server,
    /// Where each run gets a folder.
    folder: &'a Path,
}

impl Bench<'_> {
    fn run(&self, name: &str, sampling: Sampling) -> Outcome<Cost> {
        let dir = self.folder.join(name);
        let repo = dir.join("repo");
        make_repository(&repo)?;
        let said = dir.join("said");
        let model = format!("chat+{}/r/{name}/v1#mock", self.server.url);
        let mut command = Command::new(&self.grafter);
        command.args(["run", "write a note", "--workflow", "solo", "--model", &model]);
        command.args(["--verify", "true", "--fresh", "--mode", "bypass"]);
        command.current_dir(&repo).stdin(Stdio::null());
        command.stdout(File::create(&said)?).stderr(File::options().append(true).open(&said)?);
        for (variable, folder) in [
            ("XDG_STATE_HOME", "state"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            fs::create_dir(dir.join(folder))?;
            command.env(variable, dir.join(folder));
        }
        let (cpu, begun) = (cpu()?, now()?);
        let mut child = command.spawn()?;
        let peak = if sampling == Sampling::On { sample(&mut child)? } else { Peak::default() };
        let status = child.wait()?;
        let wall = now()? - begun;
        collect_orphans(&self.server);
        if !status.success() {
            let said = fs::read_to_string(&said)?;
            return Err(format!("grafter ended with {status}:\n{said}").into());
        }
        let seen = self.server.seen(name)?;
        if seen.requests as usize != TURNS + 1 {
            return Err(format!("{} requests instead of {}", seen.requests, TURNS + 1).into());
        }
        Ok(Cost {
            turn: (seen.last - seen.first) / TURNS as f64,
            first: seen.first - begun,
            wall,
            cpu: self::cpu()? - cpu,
            peak,
            body: seen.body,
        })
    }
}

fn make_repository(repo: &Path) -> Outcome<()> {
    for number in 0..FILES {
        let folder = repo.join(format!("part{}", number / 10));
        fs::create_dir_all(&folder)?;
        let text = format!("def f{number}(x):\n    return x + {number}\n\n").repeat(20);
        fs::write(folder.join(format!("f{}.py", number % 10)), text)?;
    }
    let identity = ["-c", "user.name=example", "-c", "user.email=example@localhost"];
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "first"]] {
        let status =
            Command::new("git").args(identity).args(arguments).current_dir(repo).status()?;
        if !status.success() {
            return Err(format!("git {arguments:?} failed").into());
        }
    }
    Ok(())
}

/// Seconds of the clock that all processes of a machine share.
fn now() -> Outcome<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).as_secs_f64())
}

/// Seconds that all children that have ended have used, and theirs.
fn cpu() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn collect_orphans(server: &Server) {
    while children(std::process::id()).iter().any(|pid| Some(*pid) != server.pid()) {
        let _ = wait(WaitOptions::NOHANG);
        thread::sleep(Duration::from_millis(1));
    }
}

/// The most memory that a process and all below it had at once, in megabytes.
#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    /// Resident memory: a page of grafter's own program counts for each of its processes.
    sum: f64,
    /// Proportional memory (`Pss`): a page that n processes share counts 1/n for each.
    once: f64,
}

/// Returns the peak of a process.
///
/// A process that has just been started shares all of its parent's memory until its own program
/// begins, and is left out as long as it does.
fn sample(child: &mut Child) -> Outcome<Peak> {
    let page = rustix::param::page_size() as f64;
    let mut peak = Peak::default();
    while child.try_wait()?.is_none() {
        let mut open = vec![child.id()];
        let mut now = Peak::default();
        while let Some(pid) = open.pop() {
            if let Some(pages) = resident(pid) {
                now.sum += pages * page / 1e6;
                now.once += proportional(pid).unwrap_or(0.0) * 1024.0 / 1e6;
            }
            open.extend(children(pid));
        }
        peak = Peak { sum: peak.sum.max(now.sum), once: peak.once.max(now.once) };
        thread::sleep(Duration::from_micros(500));
    }
    Ok(peak)
}

/// Returns the proportional memory of a process in KiB.
fn proportional(pid: u32) -> Option<f64> {
    let all = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the resident pages of a process, none before its own program has begun.
fn resident(pid: u32) -> Option<f64> {
    /// The kernel's flag for a process that was made and has not begun a program.
    const FORKED: u32 = 0x40;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let flags: u32 = fields.nth(6)?.parse().ok()?;
    let pages = fields.nth(14)?.parse().ok()?;
    (flags & FORKED == 0).then_some(pages)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>())
        .collect()
}

/// What a server saw of one run.
#[derive(Clone, Debug, Default)]
struct Seen {
    requests: u64,
    first: f64,
    last: f64,
    body: f64,
}

/// A model server, inside or outside this program.
struct Server {
    url: String,
    own: Option<Arc<Mutex<BTreeMap<String, Seen>>>>,
    process: Option<Child>,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    fn start(named: Option<&str>) -> Outcome<Self> {
        match named {
            None => Self::inside(),
            Some(url) if url.starts_with("http") => {
                let url = url.trim_end_matches('/').to_owned();
                Ok(Self { url, own: None, process: None, _folder: None })
            }
            Some(script) => Self::outside(script),
        }
    }

    fn inside() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let all = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = all.clone();
                thread::spawn(move || serve(&stream, &seen));
            }
        });
        Ok(Self { url, own: Some(seen), process: None, _folder: None })
    }

    fn outside(script: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let shell = |command: &str| json!({ "kind": "shell", "command": command });
        let finish = json!({ "kind": "tool", "name": "finish", "input": finish() });
        let plays = json!({ "scripts": [{ "final": "done", "turns": [
            { "calls": [shell("true {turn}")], "repeat": TURNS - 1 },
            { "calls": [shell(LAST_COMMAND)] },
            { "calls": [finish] },
        ]}]});
        let (plan, port) = (folder.path().join("script.json"), folder.path().join("port"));
        fs::write(&plan, plays.to_string())?;
        let mut command = Command::new("python3");
        command.args([script, "--port", "0", "--port-file"]).arg(&port).arg("--script").arg(plan);
        let mut process = command.stdout(Stdio::null()).spawn()?;
        for _ in 0..500 {
            let number = fs::read_to_string(&port).unwrap_or_default();
            if !number.trim().is_empty() {
                let url = format!("http://127.0.0.1:{}", number.trim());
                let process = Some(process);
                return Ok(Self { url, own: None, process, _folder: Some(folder) });
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = process.kill();
        Err("the server did not start".into())
    }

    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    fn seen(&self, run: &str) -> Outcome<Seen> {
        if let Some(own) = &self.own {
            let own = own.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(own.get(run).cloned().unwrap_or_default());
        }
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://"))?;
        let request = format!("GET /__stats?run={run} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let (_, body) = message(&mut BufReader::new(stream)).ok_or("no statistics")?;
        let stats: Value = serde_json::from_slice(&body)?;
        let number = |name: &str| stats[name].as_f64().unwrap_or_default();
        Ok(Seen {
            requests: stats["requests"].as_u64().unwrap_or_default(),
            first: number("first_main_t"),
            last: number("last_t"),
            body: number("first_body"),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn finish() -> Value {
    json!({ "status": "succeeded", "summary": "the note is written" })
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, all: &Mutex<BTreeMap<String, Seen>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let (head, body) = message(&mut reader)?;
        let arrived = now().ok()?;
        let asked: Value = serde_json::from_slice(&body).ok()?;
        let answer = answer(&asked);
        let head_line = head.lines().next().unwrap_or_default();
        let run = head_line.split('/').nth(2).unwrap_or_default().to_owned();
        let reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let first = Seen { first: arrived, body: body.len() as f64, ..Seen::default() };
            let seen = all.entry(run).or_insert(first);
            seen.requests += 1;
            seen.last = now().ok()?;
        }
        writer.write_all(reply.as_bytes()).ok()?;
    }
}

/// Reads the head and the body of one HTTP message.
fn message(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Says what the model does next, by the number of its answers so far.
fn answer(asked: &Value) -> String {
    let messages = asked["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let turn = messages.iter().filter(|message| message["role"] == "assistant").count();
    let (name, input) = match turn + 1 {
        ..TURNS => ("bash", json!({ "command": format!("true {turn}") })),
        TURNS => ("bash", json!({ "command": LAST_COMMAND })),
        _ => ("finish", finish()),
    };
    let function = json!({ "name": name, "arguments": input.to_string() });
    let call = json!({
        "index": 0, "id": format!("call_{turn}"), "type": "function", "function": function
    });
    let delta = json!({ "role": "assistant", "tool_calls": [call] });
    let said = json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
    let usage =
        json!({ "choices": [], "usage": { "prompt_tokens": 2000, "completion_tokens": 9 } });
    format!("data: {said}\n\ndata: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn report(what: &str, unit: &str, target: f64, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    let all: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
    println!("{what:30} {median:8.3} {unit:3} (target {target}; all: {})", all.join(" "));
}
