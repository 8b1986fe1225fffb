//! [`Publishers`]: channels on which messages are sent.

use std::sync::{Mutex, PoisonError};

use lapin::Channel;
use lapin::options::ConfirmSelectOptions;

use crate::error::AmqpError;
use crate::session::{Session, within};

/// The channels of a session that nobody sends on now, with confirms.
///
/// Who sends has a channel alone. The client library gives a message that found no queue to whoever
/// is confirmed next on its channel: on a shared one that may be a neighbour, and then the sender of
/// the lost message would be told that it is stored.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    idle: Mutex<Vec<Channel>>,
}

impl Session {
    pub(crate) async fn take_publisher(&self) -> Result<Channel, AmqpError> {
        while let Some(channel) = self.pop_publisher() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = self.channel().await?;
        within("ask for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Of a channel on which every message was confirmed; one with others is not used again.
    pub(crate) fn put_publisher(&self, channel: Channel) {
        let mut idle = self.publishers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(channel);
        }
    }

    /// What the server refuses on one channel it may take on one that is opened now.
    pub(crate) fn forget_publishers(&self) {
        self.publishers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn pop_publisher(&self) -> Option<Channel> {
        self.publishers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// As many as send at the same time in a busy process: who stores, who settles, upkeep.
const MAX_IDLE: usize = 8;
