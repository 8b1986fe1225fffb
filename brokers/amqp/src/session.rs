//! [`Session`]: one connection to the server, and all that ends with it.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::acks::Acks;
use crate::error::AmqpError;
use crate::leases::Leases;
use crate::options::AmqpOptions;
use crate::publishers::Publishers;
use crate::shelf::Shelf;
use crate::taps::Taps;
use crate::topology::Declared;

/// A connection. Messages that were received on it can be acknowledged on it alone; what is left
/// of them when it ends goes back to its queue, at the server.
#[derive(Debug)]
pub(crate) struct Session {
    /// Which connection of this broker this is, from 1.
    pub(crate) epoch: u64,
    connection: Connection,
    pub(crate) publishers: Publishers,
    /// Deliveries, acknowledgements.
    pub(crate) consuming: Channel,
    /// Declarations and questions: a mistake closes it, and then it is opened again.
    asking: tokio::sync::Mutex<Channel>,
    pub(crate) declared: tokio::sync::Mutex<Declared>,
    pub(crate) taps: tokio::sync::Mutex<Taps>,
    pub(crate) acks: tokio::sync::Mutex<Acks>,
    pub(crate) shelf: Mutex<Shelf>,
    pub(crate) leases: Mutex<Leases>,
    /// Rings when a message was received, or nothing comes from a queue any more.
    pub(crate) rang: Notify,
    pub(crate) ended: CancellationToken,
}

impl Session {
    /// Connects, once: to the first node that lets us in.
    pub(crate) async fn open(options: &AmqpOptions, epoch: u64) -> Result<Self, AmqpError> {
        let mut nodes = options.nodes();
        if nodes.len() == 1 {
            return Self::open_at(nodes.remove(0), epoch).await;
        }
        let mut failed: Option<AmqpError> = None;
        for node in nodes {
            let opening = tokio::time::timeout(ONE_OF_SEVERAL, Self::open_at(node, epoch));
            let silent = AmqpError::Silent { what: "connect", within: ONE_OF_SEVERAL };
            match opening.await.unwrap_or(Err(silent)) {
                Ok(session) => return Ok(session),
                // What a node says tells more than that another does not answer.
                Err(error) if failed.is_none() || error.is_said() => failed = Some(error),
                Err(_) => {}
            }
        }
        Err(failed.map_or(AmqpError::Down, AmqpError::of_all_nodes))
    }

    async fn open_at(node: AMQPUri, epoch: u64) -> Result<Self, AmqpError> {
        let properties = ConnectionProperties::default().with_connection_name("hereafter".into());
        let connecting = Connection::connect_uri(node, properties);
        let connection = within("connect", connecting).await?;
        let consuming = within("open a channel", connection.create_channel()).await?;
        let asking = within("open a channel", connection.create_channel()).await?;
        Ok(Self {
            epoch,
            connection,
            publishers: Publishers::default(),
            consuming,
            asking: asking.into(),
            declared: tokio::sync::Mutex::default(),
            taps: tokio::sync::Mutex::default(),
            acks: tokio::sync::Mutex::default(),
            shelf: Mutex::default(),
            leases: Mutex::default(),
            rang: Notify::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Waits until the connection is gone; says why, if the server or the network did it.
    pub(crate) async fn watch(&self) -> Option<lapin::Error> {
        let mut events = Box::pin(self.connection.events_listener());
        let error = loop {
            tokio::select! {
                () = self.ended.cancelled() => break None,
                event = events.next() => match event {
                    // A question that the server answers by closing its channel is told here, too.
                    Some(Event::Error(error)) if !error.is_amqp_soft_error() || !self.is_sound() => {
                        break Some(error);
                    }
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(target: "hereafter", reason, "rabbitmq takes no messages for now");
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!(target: "hereafter", "rabbitmq takes messages again");
                    }
                    Some(_) => {}
                    None => break None,
                },
                // An event may be missed, and a channel that the server closed is as good as none.
                () = tokio::time::sleep(Duration::from_secs(1)) => if !self.is_sound() {
                    break None;
                },
            }
        };
        self.end();
        error
    }

    /// Whether the connection is open, and the channel that has the deliveries.
    pub(crate) fn is_sound(&self) -> bool {
        self.connection.status().connected()
            && self.consuming.status().connected()
            && !self.ended.is_cancelled()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the server says that it takes no messages.
    pub(crate) async fn blocked(&self) {
        let mut events = Box::pin(self.connection.events_listener());
        if self.is_blocked() {
            return;
        }
        while let Some(event) = events.next().await {
            if matches!(event, Event::ConnectionBlocked(_)) {
                return;
            }
        }
        // The connection is gone, and who sends is told.
        std::future::pending().await
    }

    /// Names the reason for a silence, if it is known.
    pub(crate) fn explain(&self, error: AmqpError) -> AmqpError {
        match error {
            AmqpError::Silent { .. } if self.is_blocked() => AmqpError::Blocked,
            error => error,
        }
    }

    /// Marks this session as over, and wakes all who wait for it.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        self.rang.notify_waiters();
    }

    /// Closes the connection, if it is open: the server takes back what was not acknowledged.
    pub(crate) async fn close(&self) {
        self.end();
        let closing = self.connection.close(200, "closed by the program".into());
        // It may be gone already, and nobody needs the answer.
        let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
    }

    pub(crate) fn lock_shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel for questions, opened anew if a question before closed it. What is asked on it
    /// is asked one after the other.
    pub(crate) async fn asking(&self) -> Result<tokio::sync::MutexGuard<'_, Channel>, AmqpError> {
        let mut channel = self.asking.lock().await;
        if !channel.status().connected() {
            *channel = self.channel().await?;
        }
        Ok(channel)
    }

    /// A channel for something that must not disturb the others.
    pub(crate) async fn channel(&self) -> Result<Channel, AmqpError> {
        // Numbers of channels are used again after 2,047, and one whose channel the server once
        // closed answers with that old error, without asking the server (lapin 4.12.3: `Frames`
        // forgets no `channels_poison`). The next number may do.
        let mut tries = 0..NUMBERS;
        loop {
            let opened = within("open a channel", self.connection.create_channel()).await;
            match opened {
                Err(error) if error.is_of_channel() && tries.next().is_some() => {}
                // None comes back before the connection ends.
                Err(error) if error.is_out_of_channels() => {
                    self.end();
                    return Err(error);
                }
                answer => return answer,
            }
        }
    }
}

/// Waits for an answer of the server, with an end.
pub(crate) async fn within<T>(
    what: &'static str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, AmqpError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(AmqpError::at(what)),
        Err(_) => Err(AmqpError::Silent { what, within: PATIENCE }),
    }
}

/// The server's default for the channels of a connection.
const NUMBERS: usize = 2_047;

/// How long one of several nodes is tried: work is to resume within 10 s, also when two have vanished
/// without a word.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(4);

/// How long one answer may take. A quorum queue that elects a leader answers within seconds.
const PATIENCE: Duration = Duration::from_secs(10);
