//! The program as its users run it, killed and checked by itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use taskservers::Postgres;

/// Some seconds of chaos.
fn chaos(options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox"));
    command.args(["chaos", "--seconds", "5"]).args(options).env_remove("HEREAFTER_URL");
    command.output().unwrap()
}

/// The number after `name` at the start of a line.
fn figure(output: &Output, name: &str) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no line `{name}` in: {output:?}"));
    line.split([' ', ',']).next().unwrap().parse().unwrap()
}

fn each_order_has_exactly_one_mail(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(figure(output, "faults"), 0);
    assert_eq!(figure(output, "mails"), figure(output, "orders"));
    // How many there are depends on the machine; that there are some makes the rest mean something.
    for figures in ["accepted", "of services", "of workers"] {
        assert!(figure(output, figures) > 0, "{output:?}");
    }
}

#[test]
fn on_sqlite_kills_leave_one_mail_for_each_order() {
    each_order_has_exactly_one_mail(&chaos(&[]));
}

#[test]
fn on_postgres_kills_leave_one_mail_for_each_order() {
    let server = Postgres::shared();
    each_order_has_exactly_one_mail(&chaos(&["--url", server.url()]));
}

#[test]
fn a_job_that_is_stored_after_its_order_is_found() {
    let server = Postgres::shared();
    let output = chaos(&["--url", server.url(), "--apart"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(figure(&output, "faults") > 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("has no job"), "{text}");
}

/// The service with its worker.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start(folder: &std::path::Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_outbox"))
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(folder)
            .env_remove("HEREAFTER_URL")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn without_options_it_takes_orders_and_mails_them() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let orders = format!("{}/orders", service.address);
    let order = ureq::post(&orders).content_type("application/json");
    let mut stored = order.send(r#"{"customer":"ada@example.org"}"#).unwrap();
    assert_eq!(stored.status(), 201);
    let text = stored.body_mut().read_to_string().unwrap();
    assert!(text.starts_with(r#"{"id":1,"job":""#), "{text}");
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let counts = ureq::get(&orders).call().unwrap().body_mut().read_to_string().unwrap();
        if counts == r#"{"orders":1,"mails":1}"# {
            return;
        }
        assert!(Instant::now() < give_up, "the mail never came: {counts}");
    }
}
