//! Sending messages: many at a time, each confirmed.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};

use crate::error::AmqpError;
use crate::message::Outbound;
use crate::part::Part;
use crate::session::Session;

impl Session {
    /// Sends messages, in order, and waits until the server has confirmed each of them.
    ///
    /// Durable messages are confirmed once most of the nodes of their quorum queue have them on
    /// disk. An error says nothing of single messages: some may have been stored.
    pub(crate) async fn publish(&self, messages: &[Outbound]) -> Result<(), AmqpError> {
        self.tell(messages).await?.into_result(messages.len())
    }

    /// Sends messages, and says what the server said of them.
    ///
    /// What it refuses is sent again for a second or two, on another channel: so it answers for a
    /// queue that several clients declare at this moment, and has no leader yet; and on a channel that
    /// first sent to a queue after the node of its leader was gone and before the others knew, it
    /// refuses for good (RabbitMQ 3.10.8, quorum queues).
    pub(crate) async fn tell(&self, messages: &[Outbound]) -> Result<Told, AmqpError> {
        let mut told = self.tell_once(&messages.iter().collect::<Vec<_>>()).await?;
        let mut pause = FIRST_PAUSE;
        while !told.nacked.is_empty() && pause <= LAST_PAUSE {
            tokio::time::sleep(pause).await;
            pause *= 2;
            let refused: Vec<usize> = std::mem::take(&mut told.nacked);
            let again: Vec<&Outbound> = refused.iter().map(|place| &messages[*place]).collect();
            let later = self.tell_once(&again).await?;
            told.nacked = later.nacked.iter().map(|place| refused[*place]).collect();
            told.returned += later.returned;
            told.ids.extend(later.ids);
            told.key = told.key.or(later.key);
        }
        Ok(told)
    }

    async fn tell_once(&self, messages: &[&Outbound]) -> Result<Told, AmqpError> {
        if messages.is_empty() {
            return Ok(Told::default());
        }
        if self.is_blocked() {
            return Err(AmqpError::Blocked);
        }
        let channel = self.take_publisher().await.map_err(|error| self.explain(error))?;
        let sending = async {
            let mut told = Told::default();
            let mut parts = messages
                .chunks(PART)
                .map(|part| Part::begin(part.iter().map(|message| send(&channel, message))));
            let mut begun: VecDeque<_> = parts.by_ref().take(PARTS).collect();
            while let Some(part) = begun.pop_front() {
                for confirmation in part.end().await {
                    told.note(confirmation?);
                }
                begun.extend(parts.next());
            }
            Ok(told)
        };
        let told = tokio::select! {
            // What the server says of the messages tells more than that the session is over.
            biased;
            told = sending => told.map_err(AmqpError::at("send messages")).map_err(AmqpError::of_sending)?,
            () = self.ended.cancelled() => return Err(AmqpError::Down),
            () = tokio::time::sleep(PATIENCE) => {
                return Err(self.explain(AmqpError::Silent { what: "send messages", within: PATIENCE }));
            }
        };
        match told.nacked.is_empty() {
            true => self.put_publisher(channel),
            false => self.forget_publishers(),
        }
        Ok(told)
    }
}

async fn send(channel: &Channel, message: &Outbound) -> lapin::Result<Confirmation> {
    let options =
        BasicPublishOptions { mandatory: message.mandatory, ..BasicPublishOptions::default() };
    let confirm = channel
        .basic_publish(
            message.exchange.as_str().into(),
            message.routing_key.as_str().into(),
            options,
            &message.body,
            message.properties.clone(),
        )
        .await?;
    confirm.await
}

/// What the server said of messages.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// How many messages were sent.
    noted: usize,
    /// The places of those that it refused, among those that were sent.
    nacked: Vec<usize>,
    returned: usize,
    /// The ids of those that were returned.
    ids: HashSet<String>,
    /// Where the first that was returned should have gone.
    key: Option<String>,
}

impl Told {
    /// Notes what became of the next message.
    fn note(&mut self, confirmation: Confirmation) {
        if confirmation.is_nack() {
            self.nacked.push(self.noted);
        }
        self.noted += 1;
        // With which confirm it comes is no matter: it is of this batch.
        if let Some(returned) = confirmation.take_message() {
            self.returned += 1;
            let id = returned.properties.message_id();
            self.ids.extend(id.as_ref().map(ToString::to_string));
            self.key.get_or_insert_with(|| returned.routing_key.to_string());
        }
    }

    /// Whether all that is wrong is that these found no queue.
    pub(crate) fn unroutable(&self) -> Option<&HashSet<String>> {
        (self.nacked.is_empty() && self.returned > 0 && self.ids.len() == self.returned)
            .then_some(&self.ids)
    }

    pub(crate) fn into_result(self, all: usize) -> Result<(), AmqpError> {
        match self.key {
            Some(key) => Err(AmqpError::Unroutable { count: self.returned, key }),
            None if !self.nacked.is_empty() => {
                Err(AmqpError::Nacked { count: self.nacked.len(), all })
            }
            None => Ok(()),
        }
    }
}

/// So many messages are sent together.
const PART: usize = 100;

/// So many parts are under way at a time: more than 1,000 messages that are not confirmed gain nothing,
/// as RabbitMQ's own measurements have it.
const PARTS: usize = 10;

/// How long all confirms of a batch may take.
const PATIENCE: Duration = Duration::from_secs(20);

const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LAST_PAUSE: Duration = Duration::from_millis(800);
