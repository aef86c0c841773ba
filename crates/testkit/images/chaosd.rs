//! A container's only program, which misbehaves as a test tells it to.
//!
//! `chaosd ACTION [KEY=VALUE].. [+ ACTION ..]..` runs the actions side by side and ends when all
//! have ended, with the highest exit code. SIGTERM ends it with code 0, unless `stubborn`.
//! Durations are seconds and may have a fraction; sizes are MiB.
//!
//! | Action | What it does |
//! |---|---|
//! | `wait` | nothing, for ever |
//! | `stubborn` | ignores SIGTERM |
//! | `stop after=S code=N` | obeys SIGTERM only after S |
//! | `exit code=N after=S` | ends the whole program |
//! | `http port=8000 after=S status=200` | listens after S; `/status?503` changes the answer of all other paths, `/exit?3` ends the program, `/hang` never answers |
//! | `memory mib=N rate=N` | takes and touches memory, N = 0: without end; rate in MiB/s, 0: at once |
//! | `childmemory mib=N rate=N` | the same in a child, and says how the child ended |
//! | `burn threads=1` | uses whole CPUs |
//! | `fork max=N` | starts children until one is refused or there are N, and says how many |
//! | `flood lines=N rate=N width=N state=FILE` | numbered lines, odd on stdout and even on stderr; rate 0: as fast as possible; goes on behind the number in `state` |
//! | `print text=T hex=H stream=err` | T and a newline, or exactly the bytes of H |
//! | `long bytes=N` | one line of N bytes |
//! | `write path=P` | says whether P can be written |
//! | `read path=P` | says size, mode, owner and FNV-1a sum of P, never its content |
//! | `show path=P` | prints P's content, with newlines in place of zeros |
//! | `connect to=HOST:PORT every=S` | resolves and connects, and says how that went; code 1 on failure |
//! | `has path=P` | code 0 when P is there, 1 when not |
//! | `status` | prints `/proc/self/status` |

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SIGTERM: i32 = 15;
const MIB: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What a child of `fork` does: it has one thread, so that counting children counts processes.
const IDLE: &str = "idle";
const TICK: Duration = Duration::from_millis(5);

/// SIGTERM came.
static STOP: AtomicBool = AtomicBool::new(false);
/// SIGTERM is not obeyed.
static STUBBORN: AtomicBool = AtomicBool::new(false);
/// Milliseconds from SIGTERM to the end, and the exit code then.
static STOP_AFTER: AtomicU32 = AtomicU32::new(0);
static STOP_CODE: AtomicU32 = AtomicU32::new(0);
/// Held while lines and the number that is kept of them do not agree.
static LINES: Mutex<()> = Mutex::new(());

// The first process of a container ignores signals that it has no handler for, and the standard
// library sets none. Both functions are safe to call with these types.
unsafe extern "C" {
    safe fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn remember(_signal: i32) {
    STOP.store(true, Ordering::SeqCst);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == [IDLE] {
        forever()
    }
    signal(SIGTERM, remember);
    spawn(obey);
    let actions: Vec<_> = arguments.split(|argument| argument == "+").map(Action::read).collect();
    let running: Vec<_> = actions.into_iter().map(|action| spawn(move || action.run())).collect();
    exit(running.into_iter().map(|thread| thread.join().unwrap_or(101)).max().unwrap_or(0))
}

/// Ends the program once SIGTERM has come and may be obeyed.
fn obey() {
    while STUBBORN.load(Ordering::SeqCst) || !STOP.load(Ordering::SeqCst) {
        sleep(TICK);
    }
    sleep(Duration::from_millis(STOP_AFTER.load(Ordering::SeqCst).into()));
    let _lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    exit(STOP_CODE.load(Ordering::SeqCst).cast_signed())
}

struct Action {
    name: String,
    options: HashMap<String, String>,
}

impl Action {
    fn read(words: &[String]) -> Self {
        let name = words.first().cloned().unwrap_or_else(|| "wait".to_owned());
        let pair = |word: &String| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            (key.to_owned(), value.to_owned())
        };
        Self { name, options: words.iter().skip(1).map(pair).collect() }
    }

    fn text(&self, key: &str) -> &str {
        self.options.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str, default: u64) -> u64 {
        self.options.get(key).map_or(default, |value| value.parse().expect("a whole number"))
    }

    fn seconds(&self, key: &str) -> Duration {
        let value = self.options.get(key).map_or(0.0, |value| value.parse().expect("a number"));
        Duration::from_secs_f64(value)
    }

    /// Runs to its end and answers its exit code.
    fn run(&self) -> i32 {
        match self.name.as_str() {
            "wait" => forever(),
            "stubborn" => STUBBORN.store(true, Ordering::SeqCst),
            "stop" => {
                let after = self.seconds("after").as_millis();
                STOP_AFTER.store(after.try_into().expect("days at most"), Ordering::SeqCst);
                let code = self.number("code", 0).try_into().expect("an exit code");
                STOP_CODE.store(code, Ordering::SeqCst);
            }
            "exit" => {
                sleep(self.seconds("after"));
                exit(self.number("code", 0).try_into().expect("an exit code"))
            }
            "http" => self.http(),
            "memory" => self.memory(),
            "childmemory" => self.child_memory(),
            "burn" => self.burn(),
            "fork" => self.fork(),
            "flood" => self.flood(),
            "print" => self.print(),
            "long" => println!("{}", "x".repeat(self.number("bytes", 40_000) as usize)),
            "write" => return self.write(),
            "read" => return self.read_file(),
            "show" => return self.show(),
            "connect" => return self.connect(),
            "has" => return i32::from(!std::path::Path::new(self.text("path")).exists()),
            "status" => print!("{}", std::fs::read_to_string("/proc/self/status").expect("/proc")),
            other => {
                eprintln!("chaosd knows no action {other:?}");
                return 64;
            }
        }
        0
    }

    fn http(&self) {
        sleep(self.seconds("after"));
        let port = self.number("port", 8000).try_into().expect("a port");
        let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
        println!("listening on {port}");
        let status: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(
            self.number("status", 200).try_into().expect("a status"),
        )));
        for stream in listener.incoming().flatten() {
            spawn(move || answer(stream, status));
        }
    }

    fn memory(&self) {
        let (wanted, rate) = (self.number("mib", 0), self.number("rate", 0));
        let mut held: Vec<Vec<u8>> = Vec::new();
        while wanted == 0 || (held.len() as u64) < wanted {
            // Ones, because the kernel gives pages of zeros only when they are written.
            held.push(vec![1; MIB]);
            if let Some(pause) = 1_000_000_000_u64.checked_div(rate) {
                sleep(Duration::from_nanos(pause));
            }
        }
        println!("holding {} MiB", std::hint::black_box(&held).len());
        forever()
    }

    fn child_memory(&self) {
        let (mib, rate) = (self.number("mib", 0), self.number("rate", 0));
        let mut child = myself(&["memory", &format!("mib={mib}"), &format!("rate={rate}")]);
        let ended = child.spawn().and_then(|mut child| child.wait());
        println!("child: {}", ended.map_or_else(|e| e.to_string(), |status| status.to_string()));
    }

    fn burn(&self) {
        for _ in 1..self.number("threads", 1) {
            spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
        loop {
            std::hint::spin_loop();
        }
    }

    fn fork(&self) {
        let max = self.number("max", 100_000);
        let mut children = Vec::new();
        let why = loop {
            if children.len() as u64 == max {
                break "as many as wanted".to_owned();
            }
            match myself(&[IDLE]).spawn() {
                Ok(child) => children.push(child),
                Err(error) => break error.to_string(),
            }
        };
        println!("forked {}: {why}", children.len());
    }

    fn flood(&self) {
        let (lines, rate) = (self.number("lines", 1000), self.number("rate", 0));
        let (width, state) = (self.number("width", 0) as usize, self.text("state"));
        let kept = std::fs::read_to_string(state).ok();
        let first = kept.and_then(|number| number.trim().parse().ok()).unwrap_or(0);
        let (begin, mut done) = (Instant::now(), first);
        while done < lines {
            let due = match rate {
                0 => done + 256,
                _ => first + (begin.elapsed().as_secs_f64() * rate as f64) as u64,
            };
            let batch = done..due.min(lines).max(done);
            done = batch.end;
            let _lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
            write_lines(batch, width);
            if !state.is_empty() {
                std::fs::write(state, done.to_string()).expect("the state can be kept");
            }
            drop(_lines);
            if rate > 0 {
                sleep(TICK);
            }
        }
    }

    fn print(&self) {
        let hex = self.text("hex").as_bytes();
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal digits");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        };
        let bytes = match hex {
            [] => format!("{}\n", self.text("text")).into_bytes(),
            hex => hex.chunks(2).map(byte).collect(),
        };
        put(self.text("stream") == "err", &bytes);
    }

    fn write(&self) -> i32 {
        let path = self.text("path");
        match std::fs::write(path, "written") {
            Ok(()) => println!("write {path}: done"),
            Err(error) => {
                println!("write {path}: {error}");
                return 1;
            }
        }
        0
    }

    fn read_file(&self) -> i32 {
        let path = self.text("path");
        let read = std::fs::metadata(path).and_then(|about| Ok((about, std::fs::read(path)?)));
        match read {
            Ok((about, bytes)) => {
                let (mode, owner) = (about.mode() & 0o7777, about.uid());
                let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
                println!(
                    "read {path}: {} bytes, mode {mode:o}, owner {owner}, sum {sum:016x}",
                    bytes.len()
                );
                0
            }
            Err(error) => {
                println!("read {path}: {error}");
                1
            }
        }
    }

    fn show(&self) -> i32 {
        match std::fs::read(self.text("path")) {
            Ok(bytes) => {
                let lines = bytes.into_iter().map(|byte| if byte == 0 { b'\n' } else { byte });
                put(false, &lines.chain([b'\n']).collect::<Vec<u8>>());
                0
            }
            Err(error) => {
                println!("show: {error}");
                1
            }
        }
    }

    fn connect(&self) -> i32 {
        let (to, every) = (self.text("to"), self.seconds("every"));
        loop {
            let code = connect(to);
            if every.is_zero() {
                return code;
            }
            sleep(every);
        }
    }
}

fn connect(to: &str) -> i32 {
    let addresses = match to.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            println!("connect {to}: cannot be resolved: {error}");
            return 1;
        }
    };
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => {
                println!("connect {to}: connected to {address}");
                return 0;
            }
            Err(error) => println!("connect {to}: {address}: {error}"),
        }
    }
    1
}

/// Answers one request; whatever is wrong with it ends the connection.
fn answer(mut stream: TcpStream, status: &AtomicU32) {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < 64 * 1024 {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&part[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split_whitespace().nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (path, query.parse()) {
        ("/exit", Ok(code)) => exit(code),
        ("/hang", _) => forever(),
        ("/status", Ok(new)) => status.store(new.cast_unsigned(), Ordering::SeqCst),
        _ => {}
    }
    let status = if path == "/status" { 200 } else { status.load(Ordering::SeqCst) };
    let body = format!("{target} answers {status}\n");
    let head = format!("HTTP/1.1 {status} Chaos\r\ncontent-length: {}\r\n", body.len());
    write!(stream, "{head}connection: close\r\n\r\n{body}").ok();
}

/// `NUMBER NANOSECONDS`, padded; a line of one number is always on the same stream.
fn write_lines(numbers: std::ops::Range<u64>, width: usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let mut streams = [Vec::new(), Vec::new()];
    for number in numbers {
        let number = number + 1;
        let line = format!("{number} {now}");
        writeln!(streams[usize::from(number % 2 == 0)], "{line:.<width$}").expect("memory");
    }
    for (stream, bytes) in streams.iter().enumerate() {
        put(stream == 1, bytes);
    }
}

fn put(on_stderr: bool, bytes: &[u8]) {
    let written = if on_stderr {
        std::io::stderr().write_all(bytes)
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    };
    written.expect("the stream is open");
}

fn myself(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments);
    command
}

fn forever() -> ! {
    loop {
        sleep(Duration::from_secs(3600));
    }
}
