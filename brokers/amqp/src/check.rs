//! `doctor`: what would hurt, or hurts already.

use std::time::Duration;

use taskcore::broker::{BrokerError, Finding, FindingLevel};
use taskcore::error_chain;

use crate::error::AmqpError;
use crate::message::Outbound;
use crate::session::Session;
use crate::store::Shared;
use crate::version::{Known, Product};

impl Shared {
    pub(crate) async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        let session = self.link.session().await?;
        let product = self.check_product().await;
        let (level, detail) = match self.send_nothing(&session).await {
            Ok(()) => (FindingLevel::Ok, "none: jobs are taken"),
            Err(AmqpError::Blocked) => (
                FindingLevel::Error,
                "no jobs are taken, because memory or disk run low: see `rabbitmqctl status`, and \
                 free some",
            ),
            Err(error) => return Err(error.into()),
        };
        let alarms = found(level, "alarms", detail);
        if session.is_blocked() {
            // It answers no question on this connection as long as the alarm lasts.
            return Ok(vec![product, alarms, self.check_timeout()]);
        }
        Ok(vec![product, alarms, self.check_queues(&session).await?, self.check_timeout()])
    }

    async fn check_product(&self) -> Finding {
        let mut told = Err("no node is known".to_owned());
        for node in self.options.nodes() {
            told = match tokio::time::timeout(PATIENCE, Product::of(&node)).await {
                Ok(asked) => asked.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            if told.is_ok() {
                break;
            }
        }
        let product = match told {
            Ok(product) => product,
            Err(reason) => {
                let detail = format!("cannot ask which server this is: {reason}");
                return found(FindingLevel::Warning, "version", detail);
            }
        };
        let (level, remark) = match product.known() {
            Known::Tested => (FindingLevel::Ok, POLICIES),
            Known::Untested => (
                FindingLevel::Warning,
                "Hereafter is tested on RabbitMQ 3.10: nothing is known to fail here, but try it",
            ),
            Known::TooOld => (
                FindingLevel::Error,
                "RabbitMQ 3.10 is the oldest that moves delayed jobs on without losing one: use a \
                 newer one",
            ),
            Known::NoRabbitMq => (
                FindingLevel::Error,
                "this broker needs RabbitMQ's quorum queues: give it the URL of one",
            ),
        };
        found(level, "version", format!("{product}; {remark}"))
    }

    /// Sends messages to nobody: a server that takes none says so only to those who send some, and
    /// only after the first.
    async fn send_nothing(&self, session: &Session) -> Result<(), AmqpError> {
        let nothing = [Outbound { mandatory: false, ..Outbound::mark(self.names.nowhere()) }];
        let sending = async {
            session.publish(&nothing).await?;
            session.publish(&nothing).await
        };
        tokio::select! {
            sent = sending => sent,
            () = session.blocked() => Err(AmqpError::Blocked),
        }
    }

    /// Declares all queues again: the server says which are not as they should be.
    async fn check_queues(&self, session: &Session) -> Result<Finding, BrokerError> {
        session.declared.lock().await.forget_all();
        let queues = self.listed(session).await?;
        for queue in &queues {
            if let Err(error) = session.declare_queue(&self.names, queue).await {
                let detail = format!("{queue}: {}", error_chain(&BrokerError::from(error)));
                return Ok(found(FindingLevel::Error, "queues", detail));
            }
        }
        let detail = format!("{} queues are declared as this version declares them", queues.len());
        Ok(found(FindingLevel::Ok, "queues", detail))
    }

    /// The server does not tell its limit, so what the URL says is told.
    fn check_timeout(&self) -> Finding {
        let span = |span: Duration| {
            let span = jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX);
            format!("{span:#}")
        };
        let detail = match self.options.consumer_timeout {
            Some(limit) => format!(
                "RabbitMQ is taken to wait {} for an acknowledgement, so that a job may run for {} \
                 where no store has its lease; if `consumer_timeout` is set otherwise at the \
                 server, tell the URL",
                span(limit),
                span(limit.mul_f64(0.9)),
            ),
            None => "RabbitMQ is taken to wait for acknowledgements for ever, as the URL says; \
                     where it does not, long jobs run twice"
                .to_owned(),
        };
        found(FindingLevel::Ok, "consumer_timeout", detail)
    }
}

/// For the server to say what it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// No client is told of them.
const POLICIES: &str = "policies are not told to clients: `rabbitmqctl list_policies` shows them, and \
                        none of ours should limit lengths or times";

fn found(level: FindingLevel, subject: &str, detail: impl Into<String>) -> Finding {
    Finding { level, subject: subject.to_owned(), detail: detail.into() }
}
