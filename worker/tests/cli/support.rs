//! A folder with a store, the two programs that work on it, and a client beside them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use taskcore::broker::{JobFilter, JobRecord, JobState};
use taskcore::{Client, JobId};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine: a wait that ends by it has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// One system: a folder, and a store of its own.
pub(crate) struct System {
    folder: TempDir,
    url: String,
}

impl System {
    /// With a store in the folder, once somebody creates it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("tasks.db").display());
        Self { folder, url }
    }

    /// With a store at this URL.
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "amqp"))]
    pub(crate) fn at(url: String) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url }
    }

    /// With a store that holds nothing yet: a command that only looks does not create one.
    pub(crate) fn with_store() -> Self {
        let system = Self::new();
        system.client(async |_| ());
        system
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn url_of(&self, name: &str) -> String {
        format!("sqlite://{}", self.path(name).display())
    }

    /// The generic program, in this folder and with an environment of its own.
    pub(crate) fn hereafter(&self) -> Command {
        self.command(Path::new(env!("CARGO_BIN_EXE_hereafter")))
    }

    /// The worker program of the tests.
    pub(crate) fn worker(&self) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_hereafter"));
        let program = program.with_file_name("examples").join("cli_worker");
        let program = program.with_extension(std::env::consts::EXE_EXTENSION);
        assert!(program.exists(), "{} is built by `cargo test -p taskworker`", program.display());
        self.command(&program)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEREAFTER_") {
                command.env_remove(name);
            }
        }
        command.env("HEREAFTER_URL", self.url()).env("TZ", "UTC").env("COLUMNS", "100");
        command
    }

    /// Runs the generic program and gives what it printed; it must succeed.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.hereafter().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// Runs the generic program; it must end with this code. Gives what it said.
    pub(crate) fn refused(&self, code: i32, args: &[&str]) -> String {
        ends_with(code, self.hereafter().args(args))
    }

    /// Does something with a client of this store.
    pub(crate) fn client<T>(&self, act: impl AsyncFnOnce(&Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::new(taskbroker_connect::connect(self.url()).await.unwrap());
            let done = act(&client).await;
            client.close().await.unwrap();
            done
        })
    }

    /// Runs what is due with the test worker.
    pub(crate) fn drain(&self) {
        let output = self.worker().args(["run", "--burst"]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }

    pub(crate) fn record(&self, id: JobId) -> JobRecord {
        self.client(async |client| client.record(id).await.unwrap().unwrap())
    }

    pub(crate) fn states(&self) -> Vec<JobState> {
        let jobs = self.client(async |client| {
            let operate = client.connection().unwrap().operate.clone().unwrap();
            operate.jobs(&JobFilter::default()).await.unwrap()
        });
        jobs.into_iter().map(|job| job.state).collect()
    }
}

/// Runs a command; it must end with this code. Gives what it said.
pub(crate) fn ends_with(code: i32, command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", errors(&output));
    errors(&output)
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A worker that runs beside the test, with its log read line by line. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    events: Receiver<Value>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.args(["--log-format", "json"]).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, events) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                // The test may have heard enough.
                let _ = sender.send(event);
            }
        });
        Self { child, events }
    }

    /// Waits for the first event with this message.
    pub(crate) fn event(&self, message: &str) -> Value {
        let end = Instant::now() + LIMIT;
        let mut heard = Vec::new();
        while let Ok(event) =
            self.events.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            if event["message"] == message {
                return event;
            }
            heard.push(event.to_string());
        }
        panic!("no event `{message}` in:\n{}", heard.join("\n"));
    }

    /// Where its health server listens.
    pub(crate) fn health(&self) -> String {
        self.event("health server listens")["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        code_of(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs beside the test, with its output read line by line. Killed when dropped.
pub(crate) struct Printing {
    child: Child,
    lines: Receiver<String>,
}

impl Printing {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in printed.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("it printed no further line")
    }

    /// The next line, if there is one by now.
    pub(crate) fn line_if_any(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end; gives its exit code, the lines that were left, and its errors.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = code_of(&mut self.child);
        (code, self.lines.iter().collect(), errors)
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

fn code_of(child: &mut Child) -> Option<i32> {
    let mut code = None;
    until(|| {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    code.unwrap().code()
}

/// Waits until another process has made it so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "it did not come to that in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status and the body of what a health server answers.
pub(crate) fn http(address: &str, path: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(LIMIT))
        .build()
        .into();
    let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
    let status = answer.status().as_u16();
    Answer { status, body: answer.body_mut().read_to_string().unwrap() }
}

pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
