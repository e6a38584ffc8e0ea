//! Tests in a process of their own: for what would abort or end the whole run.
//!
//! The test binary starts itself again with only the calling test, and a variable that tells the
//! test that it is the child.

use std::env;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const VARIABLE: &str = "SIDELOOP_CHILD";
/// The variable with the words of a command that runs the binary, where that does not run of its own.
const RUNNER: &str = "SIDELOOP_RUNNER";
const MARK: &str = "this is the child process";
/// How long a child may live.
const LIMIT: Duration = Duration::from_secs(60);

/// How a child process ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// Runs `body` in a child process, which must end with success.
#[track_caller]
pub(crate) fn isolated<F: FnOnce()>(body: F) {
    if let Some(ended) = in_child(body) {
        assert!(ended.status.success(), "the child: {}\n{}", ended.status, ended.output);
    }
}

/// Runs `body` in a child process and tells how it ended; `None` in the child itself.
///
/// The name of the test is taken from the type of `body`: call it from the test's own body.
#[track_caller]
pub(crate) fn in_child<F: FnOnce()>(body: F) -> Option<Ended> {
    in_child_with(|_| (), body)
}

/// The same, with a child whose command `prepare` has changed.
#[track_caller]
pub(crate) fn in_child_with<F: FnOnce()>(
    prepare: impl FnOnce(&mut Command),
    body: F,
) -> Option<Ended> {
    let path = std::any::type_name::<F>();
    let test = path.split("::").skip(1).take_while(|part| !part.starts_with('{'));
    let test = test.collect::<Vec<_>>().join("::");
    if env::var_os(VARIABLE).is_some_and(|name| name == *test) {
        eprintln!("{MARK}");
        // The default hook adds a backtrace to a panic inside another, whatever the environment says. Under a sanitizer
        // that takes half a minute.
        std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
        body();
        return None;
    }
    let mut command = this_binary();
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(VARIABLE, &test);
    prepare(&mut command);
    let ended = run(command, &test, LIMIT);
    assert!(ended.output.contains(MARK), "no test ran as {test}:\n{}", ended.output);
    Some(ended)
}

fn this_binary() -> Command {
    let binary = env::current_exe().expect("the path of the test binary");
    let runner = env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(program) = words.next() else { return Command::new(binary) };
    let mut command = Command::new(program);
    command.args(words).arg(binary);
    command
}

/// Starts a command, called `name` here, and waits for its end, which closes its pipes.
#[track_caller]
pub(crate) fn run(mut command: Command, name: &str, limit: Duration) -> Ended {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the child starts");
    let (give, take) = mpsc::channel();
    read(child.stdout.take().expect("piped"), 0, give.clone());
    read(child.stderr.take().expect("piped"), 1, give);
    let until = Instant::now() + limit;
    let mut outputs = [Vec::new(), Vec::new()];
    while let Ok((at, bytes)) = take.recv_timeout(until.saturating_duration_since(Instant::now())) {
        outputs[at].extend(bytes);
    }
    let output = String::from_utf8_lossy(&outputs.concat()).into_owned();
    if Instant::now() >= until {
        child.kill().expect("the child can be killed");
        panic!("the child of {name} has not ended within {limit:?}:\n{output}");
    }
    Ended { status: child.wait().expect("the child's status"), output }
}

/// Passes on everything that comes out of `pipe`, as it comes, on a thread of its own.
fn read(mut pipe: impl Read + Send + 'static, number: usize, to: mpsc::Sender<(usize, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            let _ = to.send((number, bytes[..count].to_vec()));
        }
    });
}
