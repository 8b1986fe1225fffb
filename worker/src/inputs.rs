//! The arguments of a job that other jobs yield.

use std::borrow::Cow;
use std::time::Duration;

use taskcore::broker::{BrokerError, Delivery, Verdict};
use taskcore::{Client, Envelope, Failure, FailureKind, NoArgument, error_chain};

use crate::report;

/// Tries before the job goes back to wait for a better time.
const TRIES: u32 = 5;

/// All arguments of a job, or its verdict if they cannot be had.
pub(crate) async fn args<'a>(
    client: &Client,
    delivery: &Delivery,
    envelope: &Envelope<'a>,
) -> Result<Cow<'a, [u8]>, Verdict> {
    if envelope.inputs.is_empty() {
        return Ok(Cow::Borrowed(envelope.args.get().as_bytes()));
    }
    let jobs = envelope.input_jobs();
    let mut tried = 0;
    let found = loop {
        tried += 1;
        match client.outcomes(&jobs).await {
            Ok(found) => break found,
            Err(error) if error.is_transient() && tried < TRIES => {
                tokio::time::sleep(Duration::from_millis(50 << tried)).await;
            }
            Err(error) => return Err(unread(delivery, &error)),
        }
    };
    match envelope.full_args(&found) {
        Ok(args) => Ok(Cow::Owned(args.into_bytes().into())),
        Err(NoArgument::NoFailure(_)) => Err(Verdict::Cancelled),
        Err(NoArgument::Failed(error)) => {
            // Not a failure of kind `Input`, which a replay passes over: this job is the one to replay.
            Err(Verdict::Failed { failure: failed(delivery, &error.to_string()) })
        }
    }
}

/// The verdict on a job whose inputs could not be asked for.
fn unread(delivery: &Delivery, error: &BrokerError) -> Verdict {
    report::cannot_read_inputs(delivery, error);
    if error.is_transient() {
        return Verdict::Release;
    }
    Verdict::Failed { failure: failed(delivery, &error_chain(error)) }
}

fn failed(delivery: &Delivery, reason: &str) -> Failure {
    Failure {
        kind: FailureKind::Arguments,
        task: delivery.task.clone(),
        job: delivery.job,
        attempt: delivery.attempt.get(),
        error_type: None,
        message: format!("an argument that another job yields cannot be had: {reason}"),
        causes: Vec::new(),
        permanent: false,
    }
}
