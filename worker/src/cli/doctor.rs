//! `doctor`: what is, what is not as it should be, and what to do about it.

use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use taskcore::broker::{Broker, BrokerError, Finding, FindingLevel, JobFilter, QueueStatus};
use taskcore::{Mode, Registry};

use super::error::CliError;
use super::output::{Output, shown};
use super::probe;
use super::settings::Settings;
use super::store::Store;
use super::times::between;
use crate::view::counted;

/// What to look at beside the store.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask the worker that serves its health here, for example 127.0.0.1:9090, why it idles
    #[arg(long, value_name = "ADDR")]
    health: Option<String>,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    url: String,
    findings: Vec<Finding>,
}

/// A due job that waits longer than this has no worker, or too few.
const LONG_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// Clocks that differ by less are as good as clocks get.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// Prints findings; fails if one is an error.
pub(crate) fn run(settings: &Settings, output: Output, args: &DoctorArgs) -> Result<(), CliError> {
    let mut findings = Store::with(settings, async |store| Ok(examine(store).await?))?;
    findings.push(mode());
    findings.extend(tasks(taskcore::registry()));
    if let Some(address) = &args.health {
        findings.extend(probe::worker(address));
    }
    let url = probe::without_password(&settings.url()?);
    let diagnosis = Diagnosis { url, findings };
    output.show(&diagnosis, |diagnosis| text(diagnosis, output))?;
    let is_error = |finding: &&Finding| finding.level == FindingLevel::Error;
    match diagnosis.findings.iter().filter(is_error).count() {
        0 => Ok(()),
        1 => Err(CliError::Unsuccessful("one finding is an error; see above".to_owned())),
        errors => Err(CliError::Unsuccessful(format!("{errors} findings are errors; see above"))),
    }
}

async fn examine(store: &Store) -> Result<Vec<Finding>, BrokerError> {
    let mut findings = vec![capabilities(&*store.broker)];
    findings.extend(store.operate.check().await?);
    let newest = JobFilter { limit: Some(1), ..JobFilter::default() };
    let now = Timestamp::now();
    match store.operate.jobs(&newest).await {
        Ok(mut newest) => findings.push(clock(newest.pop().map(|job| job.created_at), now)),
        // A broker that lists no jobs tells nothing of its clock.
        Err(BrokerError::Unsupported { .. }) => {}
        Err(error) => return Err(error),
    }
    let queues = store.operate.queues().await?;
    if queues.is_empty() {
        findings.push(found(FindingLevel::Ok, "queues", "none holds a job or is paused"));
    }
    findings.extend(queues.iter().map(|queue| examine_queue(queue, now)));
    Ok(findings)
}

fn capabilities(broker: &dyn Broker) -> Finding {
    let can = broker.capabilities();
    let word = |is_on, what: &str| format!("{}{what}", if is_on { "" } else { "no " });
    let detail = format!(
        "{}: {}, {}, {}; up to {} jobs a batch and {} bytes a job; due to {}",
        broker.name(),
        word(can.durable, "durable jobs"),
        word(can.results, "results"),
        word(can.dedupe, "deduplication by id"),
        can.max_batch,
        can.max_envelope,
        humantime::format_duration(can.due_resolution),
    );
    found(FindingLevel::Ok, "broker", detail)
}

/// The broker's clock decides, so a job from the future shows that it differs from this one.
fn clock(newest: Option<Timestamp>, now: Timestamp) -> Finding {
    let ahead = newest.map(|newest| newest.duration_since(now)).filter(|ahead| *ahead > SKEW);
    match ahead {
        Some(ahead) => {
            let detail = format!(
                "the newest job was stored {} s after this machine's now, {now:.0}: set the clocks of this machine \
                 and of the broker by NTP",
                ahead.as_secs()
            );
            found(FindingLevel::Warning, "clock", detail)
        }
        None => found(FindingLevel::Ok, "clock", format!("{now:.0} here; no job is newer")),
    }
}

fn examine_queue(queue: &QueueStatus, now: Timestamp) -> Finding {
    let depth = &queue.depth;
    let subject = format!("queue {}", depth.queue);
    let number = |count: Option<u64>| count.unwrap_or(0);
    let (ready, waiting) = (number(depth.ready), number(depth.ready) + number(depth.scheduled));
    if queue.paused && waiting > 0 {
        let name = &depth.queue;
        let jobs = counted(waiting, "job");
        let detail = format!("is paused and holds {jobs}: `queues resume {name}` lets them go");
        return found(FindingLevel::Warning, subject, detail);
    }
    let mut detail = format!(
        "{ready} ready, {} scheduled, {} running, {} failed",
        number(depth.scheduled),
        number(depth.running),
        number(depth.failed)
    );
    if queue.paused {
        detail += "; paused";
    }
    let Some(oldest) = depth.oldest_ready else {
        return found(FindingLevel::Ok, subject, detail);
    };
    detail += &format!("; the oldest due job waits for {}", between(oldest, now));
    if now.duration_since(oldest) > LONG_WAIT {
        detail += ": is a worker running that serves this queue (`run --queue`)?";
        return found(FindingLevel::Warning, subject, detail);
    }
    found(FindingLevel::Ok, subject, detail)
}

fn mode() -> Finding {
    match Mode::from_env() {
        Ok(Mode::Normal) => found(FindingLevel::Ok, "mode", "normal: delayed calls are stored"),
        Ok(Mode::Eager) => found(
            FindingLevel::Warning,
            "mode",
            "eager (HEREAFTER_EAGER): programs in this environment run delayed calls at once",
        ),
        Ok(Mode::Disabled) => found(
            FindingLevel::Warning,
            "mode",
            "disabled (HEREAFTER_DISABLED): programs in this environment store and run nothing",
        ),
        // `Mode` is open for more.
        #[expect(unreachable_patterns, reason = "complete today")]
        Ok(mode) => found(FindingLevel::Warning, "mode", mode.as_str()),
        Err(error) => found(FindingLevel::Error, "mode", error.to_string()),
    }
}

fn tasks(registry: &Registry) -> Vec<Finding> {
    let count = registry.tasks().count();
    let detail = match count {
        0 => "none is linked: this program operates the system and runs no jobs".to_owned(),
        count => format!("{count} linked; `tasks` lists them"),
    };
    let duplicates = registry.duplicates().iter();
    let duplicates =
        duplicates.map(|duplicate| found(FindingLevel::Error, "tasks", duplicate.to_string()));
    [found(FindingLevel::Ok, "tasks", detail)].into_iter().chain(duplicates).collect()
}

fn text(diagnosis: &Diagnosis, output: Output) -> String {
    let mut text = format!("{}\n", diagnosis.url);
    for Finding { level, subject, detail } in &diagnosis.findings {
        let (word, style) = word(*level, output);
        let (subject, detail) = (shown(subject), shown(detail));
        text += &format!("{style}{word:<7}{style:#}  {subject}: {detail}\n");
    }
    text
}

fn word(level: FindingLevel, output: Output) -> (&'static str, anstyle::Style) {
    let (word, color) = match level {
        FindingLevel::Ok => ("ok", anstyle::AnsiColor::Green),
        FindingLevel::Warning => ("warning", anstyle::AnsiColor::Yellow),
        FindingLevel::Error => ("error", anstyle::AnsiColor::Red),
    };
    let style = anstyle::Style::new();
    let is_coloured = output.color.is_on(&std::io::stdout());
    (word, if is_coloured { style.fg_color(Some(color.into())) } else { style })
}

/// A finding.
pub(crate) fn found(
    level: FindingLevel,
    subject: impl Into<String>,
    detail: impl Into<String>,
) -> Finding {
    Finding { level, subject: subject.into(), detail: detail.into() }
}

/// How long a health server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use taskcore::QueueName;
    use taskcore::broker::Depth;

    use super::*;

    fn queue(ready: u64) -> QueueStatus {
        let depth = Depth { ready: Some(ready), ..Depth::empty(QueueName::DEFAULT) };
        QueueStatus { depth, paused: false, consumers: None }
    }

    #[test]
    fn a_paused_queue_is_a_warning_only_if_it_holds_jobs() {
        let now = Timestamp::now();
        let paused = |ready| QueueStatus { paused: true, ..queue(ready) };
        assert_eq!(examine_queue(&paused(0), now).level, FindingLevel::Ok);
        let finding = examine_queue(&paused(3), now);
        assert_eq!(finding.level, FindingLevel::Warning);
        assert!(finding.detail.contains("`queues resume default`"), "{}", finding.detail);
    }

    #[test]
    fn a_job_that_is_due_for_long_is_a_warning() {
        let now = Timestamp::now();
        let mut waiting = queue(1);
        waiting.depth.oldest_ready = Some(now - SignedDuration::from_secs(20));
        assert_eq!(examine_queue(&waiting, now).level, FindingLevel::Ok);
        waiting.depth.oldest_ready = Some(now - SignedDuration::from_mins(20));
        assert_eq!(examine_queue(&waiting, now).level, FindingLevel::Warning);
    }

    #[test]
    fn a_job_from_the_future_shows_that_the_clocks_differ() {
        let now = Timestamp::now();
        assert_eq!(clock(None, now).level, FindingLevel::Ok);
        assert_eq!(clock(Some(now), now).level, FindingLevel::Ok);
        let ahead = now + SignedDuration::from_mins(2);
        assert_eq!(clock(Some(ahead), now).level, FindingLevel::Warning);
    }
}
