//! The service as its clients see it: a process, and HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running service with a store of its own.
struct Service {
    process: Child,
    address: String,
    _store: tempfile::TempDir,
}

impl Service {
    fn start() -> Self {
        let store = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", store.path().join("webapp.db").display());
        let mut process = Command::new(env!("CARGO_BIN_EXE_webapp"))
            .args(["127.0.0.1:0", &url])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address, _store: store }
    }

    /// Orders a report and waits until it is more than a state.
    fn report_of(&self, orders: &str) -> ureq::http::Response<ureq::Body> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let ordered = agent.post(format!("{}/reports", self.address)).send(orders).unwrap();
        assert_eq!(ordered.status(), 202);
        let job = ordered.headers()["location"].to_str().unwrap().to_owned();
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = agent.get(format!("{}{job}", self.address)).call().unwrap();
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            if answer.status() != 200 || kind == "text/csv" {
                return answer;
            }
            assert!(Instant::now() < give_up, "the report never came");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_report_is_accepted_at_once_and_read_later() {
    let service = Service::start();
    let mut report = service.report_of("customer,amount\nada,1.5\nbob,2\nada,3\n");
    let text = report.body_mut().read_to_string().unwrap();
    assert_eq!(text, "customer,orders,amount\nada,2,4.50\nbob,1,2.00\n");
}

#[test]
fn broken_orders_are_a_clear_error_and_are_not_retried() {
    let service = Service::start();
    let mut report = service.report_of("customer,amount\nada,many\n");
    assert_eq!(report.status(), 422);
    let text = report.body_mut().read_to_string().unwrap();
    assert!(text.contains("sales_report") && text.contains("attempt 1"), "{text}");
}
