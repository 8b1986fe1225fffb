//! What can go wrong with the server, sorted by remedy.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use taskcore::broker::{BrokerError, ConnectError};

use crate::NAME;

/// Why something did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AmqpError {
    #[error("cannot {what}")]
    Failed {
        what: &'static str,
        #[source]
        source: lapin::Error,
    },
    #[error("no RabbitMQ answers at `{server}`: check host and port, and that it runs")]
    Nobody {
        server: String,
        #[source]
        source: Box<Self>,
    },
    #[error("the connection is down; it is tried again")]
    Down,
    #[error("the connection is down since {what}; it is tried again")]
    DownSince {
        what: &'static str,
        #[source]
        source: lapin::Error,
    },
    #[error("no answer to `{what}` within {} s", within.as_secs())]
    Silent { what: &'static str, within: Duration },
    #[error(
        "it takes no messages, because memory or disk run low: see `rabbitmqctl status`, and free some"
    )]
    Blocked,
    #[error("queue `{queue}` is there with another `{argument}`: {text}")]
    OtherArguments { queue: String, argument: String, text: String },
    #[error("{what} `{name}` is not permitted: {text}")]
    NotPermitted { what: &'static str, name: String, text: String },
    #[error("{count} messages found no queue, such as one for `{key}`")]
    Unroutable { count: usize, key: String },
    #[error("it refused {count} of {all} messages")]
    Nacked { count: usize, all: usize },
    #[error("its thread has ended, by a panic that was printed before")]
    DriverGone,
    #[error("somebody else looks at `{queue}`")]
    InUse { queue: String },
}

impl AmqpError {
    /// For `map_err`: names what was done.
    pub(crate) fn at(what: &'static str) -> impl Fn(lapin::Error) -> Self {
        move |source| Self::Failed { what, source }
    }

    /// Of a connection that no node of the URL has let happen.
    pub(crate) fn of_all_nodes(self) -> Self {
        match self {
            Self::Failed { source, .. } => Self::Failed { what: "connect to any node", source },
            other => other,
        }
    }

    /// What the server says of the declaration of a queue or an exchange.
    pub(crate) fn of_declare(what: &'static str, name: &str, source: lapin::Error) -> Self {
        let ErrorKind::ProtocolError(error) = source.kind() else {
            return Self::Failed { what: "declare queues", source };
        };
        let text = error.get_message().to_string();
        match error.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
                // "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received …"
                let argument = text.split('\'').nth(1).unwrap_or("argument").to_owned();
                Self::OtherArguments { queue: name.to_owned(), argument, text }
            }
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
                Self::NotPermitted { what, name: name.to_owned(), text }
            }
            _ => Self::Failed { what: "declare queues", source },
        }
    }

    /// What the server says of messages. Most go by the exchange without a name, which it calls
    /// `amq.default`.
    pub(crate) fn of_sending(self) -> Self {
        let Self::Failed { source, .. } = &self else { return self };
        let ErrorKind::ProtocolError(error) = source.kind() else { return self };
        if !self.is_access_refused() {
            return self;
        }
        let text = error.get_message().to_string();
        // "access to exchange 'amq.default' in vhost '/' refused for user 'app'"
        let name = text.split('\'').nth(1).unwrap_or("amq.default").to_owned();
        Self::NotPermitted { what: "exchange", name, text }
    }

    /// Whether a server has answered with it.
    pub(crate) fn is_said(&self) -> bool {
        let Self::Failed { source, .. } = self else { return false };
        matches!(source.kind(), ErrorKind::ProtocolError(_))
    }

    /// Whether a queue or an exchange is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.soft_error() == Some(AMQPSoftError::NOTFOUND)
    }

    /// Whether somebody consumes from a queue that this needs for itself.
    pub(crate) fn is_access_refused(&self) -> bool {
        self.soft_error() == Some(AMQPSoftError::ACCESSREFUSED)
    }

    /// Whether it is an error for which the server closes a channel, and no more.
    pub(crate) fn is_of_channel(&self) -> bool {
        self.soft_error().is_some()
    }

    /// Whether the client library has no number left for another channel.
    pub(crate) fn is_out_of_channels(&self) -> bool {
        let Self::Failed { source, .. } = self else { return false };
        matches!(source.kind(), ErrorKind::ChannelsLimitReached)
    }

    fn soft_error(&self) -> Option<AMQPSoftError> {
        let Self::Failed { source, .. } = self else { return None };
        let ErrorKind::ProtocolError(error) = source.kind() else { return None };
        match error.kind() {
            AMQPErrorKind::Soft(error) => Some(error.clone()),
            AMQPErrorKind::Hard(_) => None,
        }
    }

    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::OtherArguments { .. } => Some(
                "some other program declared it, or a policy changed it: delete it when it is \
                 empty, or use another `prefix`",
            ),
            Self::NotPermitted { .. } => Some(RIGHTS),
            Self::Nacked { .. } => Some(
                "a queue is full by a length limit of a policy, or has no leader: see \
                 `rabbitmqctl list_policies` and `rabbitmq-queues check_if_node_is_quorum_critical`",
            ),
            _ => None,
        }
    }

    /// As the reason for not opening a connection.
    pub(crate) fn into_connect_error(self, server: &str) -> ConnectError {
        let reason = match &self {
            Self::Failed { source, .. } => refusal(source),
            _ => None,
        };
        match reason.or_else(|| self.remedy()) {
            Some(remedy) => {
                let reason = format!("{}: {remedy}", taskcore::error_chain(&self));
                ConnectError::Unusable { store: server.to_owned(), reason }
            }
            None => {
                let nobody = Self::Nobody { server: server.to_owned(), source: Box::new(self) };
                ConnectError::Broker(nobody.into())
            }
        }
    }
}

/// What a user needs.
const RIGHTS: &str = "grant the user configure, write and read on names that begin with the prefix, \
                      and write on `amq.default`: `rabbitmqctl set_permissions`";

/// What to do about a connection that the server refuses.
fn refusal(error: &lapin::Error) -> Option<&'static str> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    match error.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
            Some("check user and password; `guest` may only connect from the server's own host")
        }
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Some(
            "check that the virtual host exists and that the user may use it: \
             `rabbitmqctl add_vhost`, `rabbitmqctl set_permissions`",
        ),
        _ => None,
    }
}

impl From<AmqpError> for BrokerError {
    fn from(error: AmqpError) -> Self {
        match error.remedy() {
            Some(remedy) => {
                Self::Refused { broker: NAME, reason: remedy.to_owned(), source: Box::new(error) }
            }
            None => Self::Unavailable { broker: NAME, source: Box::new(error) },
        }
    }
}
