//! Asking a running worker over its health server.

use serde::Deserialize;
use taskcore::broker::{Finding, FindingLevel, check_password};
use taskcore::error_chain;
use url::Url;

use super::doctor::{PATIENCE, found};
use super::times::distance;

/// The part of `/status` that a diagnosis needs; a worker of another version may say more.
#[derive(Debug, Deserialize)]
struct Status {
    worker: String,
    state: String,
    slots: Slots,
    fetch: Fetch,
    idle: Vec<String>,
    in_trouble: bool,
    #[serde(default)]
    queues_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Slots {
    total: usize,
    running: usize,
    stuck: usize,
}

#[derive(Debug, Deserialize)]
struct Fetch {
    last_fetch: Option<jiff::Timestamp>,
    last_wake: Option<jiff::Timestamp>,
    last_delivery: Option<jiff::Timestamp>,
}

/// What the worker at this address says of itself.
pub(crate) fn worker(address: &str) -> Vec<Finding> {
    let unreachable = |reason: String| {
        let detail = format!(
            "cannot ask http://{address}/status ({reason}): is it the `--health` address of a running worker?"
        );
        vec![found(FindingLevel::Error, "worker", detail)]
    };
    let text = match fetch(address) {
        Ok(text) => text,
        Err(error) => return unreachable(error_chain(&error)),
    };
    match serde_json::from_str::<Status>(&text) {
        Ok(status) => status.findings(jiff::Timestamp::now()),
        Err(error) => unreachable(error.to_string()),
    }
}

fn fetch(address: &str) -> Result<String, ureq::Error> {
    // A proxy of the environment is for the world, not for a worker beside us.
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
    agent.get(format!("http://{address}/status")).call()?.body_mut().read_to_string()
}

impl Status {
    fn findings(self, now: jiff::Timestamp) -> Vec<Finding> {
        let Self { worker, state, slots, fetch, idle, in_trouble, queues_error } = self;
        let Slots { total, running, stuck } = slots;
        let when = |time: Option<jiff::Timestamp>| {
            time.map_or_else(|| "never".to_owned(), |time| distance(time, now))
        };
        let (last_fetch, last_wake) = (when(fetch.last_fetch), when(fetch.last_wake));
        let last_delivery = when(fetch.last_delivery);
        let level = if in_trouble { FindingLevel::Warning } else { FindingLevel::Ok };
        let mut detail = format!(
            "{state}; {running} of {total} slots run, {stuck} stuck; last fetch {last_fetch}, last wake \
             {last_wake}, last delivery {last_delivery}"
        );
        for reason in idle {
            detail += &format!("; {reason}");
        }
        let subject = format!("worker {worker}");
        let mut findings = vec![found(level, subject.clone(), detail)];
        findings.extend(queues_error.map(|error| found(FindingLevel::Error, subject, error)));
        findings
    }
}

/// The URL as it may be shown.
pub(crate) fn without_password(url: &str) -> String {
    // The name of a file may have an `@`.
    let is_whole = url.starts_with("sqlite:") || check_password(url).is_ok();
    let (true, Ok(mut parsed)) = (is_whole, Url::parse(url)) else {
        return url.split_once(':').map_or("(no URL)", |(scheme, _)| scheme).to_owned();
    };
    let given: Vec<_> = parsed.query_pairs().into_owned().collect();
    let shown: Vec<_> =
        given.iter().map(|(name, value)| (name, shown_option(name, value))).collect();
    let has_secret = given.iter().zip(&shown).any(|((_, value), (_, shown))| value != shown);
    if parsed.password().is_none() && !has_secret {
        return url.to_owned();
    }
    if parsed.password().is_some() {
        // Fails only for URLs that cannot have a password.
        let _ = parsed.set_password(Some("***"));
    }
    if has_secret {
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.to_string()
}

fn shown_option(name: &str, value: &str) -> String {
    match name {
        // PostgreSQL takes one as an option, too.
        "password" => "***".to_owned(),
        // The URL of RabbitMQ's store.
        "results" => without_password(value),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://me:secret@db.example/jobs";
        assert_eq!(without_password(url), "postgres://me:***@db.example/jobs");
        let url = "postgres://db.example/jobs?password=secret&schema=mine";
        let shown = "postgres://db.example/jobs?password=***&schema=mine";
        assert_eq!(without_password(url), shown);
        let url = "amqp://host/jobs?results=postgres%3A%2F%2Fme%3Asecret%40db%2Fjobs&prefix=a";
        let shown = "amqp://host/jobs?results=postgres%3A%2F%2Fme%3A***%40db%2Fjobs&prefix=a";
        assert_eq!(without_password(url), shown);
        assert_eq!(without_password("sqlite://tasks/a@b.db"), "sqlite://tasks/a@b.db");
        assert_eq!(without_password("postgres://me:12/secret@db/jobs"), "postgres");
    }

    #[test]
    fn an_address_without_a_worker_is_an_error_that_names_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let [finding] = &worker(&address)[..] else { panic!("one finding expected") };
        assert_eq!(finding.level, FindingLevel::Error);
        assert!(finding.detail.contains(&address), "{}", finding.detail);
    }
}
