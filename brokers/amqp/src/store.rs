//! [`Shared`]: what all faces of one broker have in common.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use lapin::options::BasicAckOptions;
use rand::RngExt;
use tokio::task::spawn_local;

use crate::driver::Driver;
use crate::error::AmqpError;
use crate::keeper;
use crate::link::Link;
use crate::names::Names;
use crate::options::AmqpOptions;
use crate::replies::Replies;
use crate::session::Session;

/// A broker and its duplicates.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: AmqpOptions,
    pub(crate) names: Names,
    /// In receipts, so that another broker's are told from ours.
    pub(crate) instance: u64,
    pub(crate) link: Arc<Link>,
    pub(crate) replies: Arc<Replies>,
    /// The latest limit that upkeep named.
    pub(crate) recovery_limit: AtomicU32,
    /// Of this connection: it ends with the last of them.
    pub(crate) open_faces: AtomicUsize,
    pub(crate) next_face: AtomicU64,
    /// Since the latest upkeep: jobs that were found lost or expired when they were to be handed out.
    pub(crate) lost: AtomicU64,
    pub(crate) expired: AtomicU64,
    // The last, so that what runs there ends after all else.
    pub(crate) driver: Driver,
}

impl Shared {
    /// Connects, on the driver's thread.
    pub(crate) async fn open(options: AmqpOptions, driver: Driver) -> Result<Arc<Self>, AmqpError> {
        let link = Link::open(options.clone()).await?;
        spawn_local(link.clone().keep());
        let names = Names::new(&options.prefix);
        let replies = Arc::new(Replies::new(&names, options.names_several_nodes()));
        let shared = Arc::new(Self {
            names,
            options,
            instance: rand::rng().random(),
            link,
            replies,
            recovery_limit: AtomicU32::new(taskcore::broker::Maintain::default().recovery_limit),
            open_faces: AtomicUsize::new(0),
            next_face: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            driver,
        });
        let closed = shared.link.closed.clone();
        spawn_local(keeper::keep(Arc::downgrade(&shared), closed));
        Ok(shared)
    }
}

impl Shared {
    /// One more face; its number.
    pub(crate) fn opened_face(&self) -> u64 {
        self.open_faces.fetch_add(1, Ordering::SeqCst);
        self.next_face.fetch_add(1, Ordering::SeqCst)
    }
}

impl Session {
    /// Tells the server that these messages are dealt with. It does not answer: if the connection
    /// breaks before it has heard of it, they come again.
    pub(crate) async fn acknowledge(
        &self,
        tags: impl IntoIterator<Item = u64>,
    ) -> Result<(), AmqpError> {
        // Held while they are sent: see `Acks`.
        let mut acks = self.acks.lock().await;
        let sending = acks.acknowledge(tags).into_iter().map(|ack| {
            let options = BasicAckOptions { multiple: ack.multiple };
            self.consuming.basic_ack(ack.tag, options)
        });
        let mut sending = pin!(futures::future::try_join_all(sending));
        let sent = tokio::select! {
            biased;
            sent = &mut sending => sent.map(|_| ()),
            // They lie in the queue of the connection, and go before whatever follows. A server that
            // takes no messages for now does not read anything.
            () = std::future::ready(()), if self.is_blocked() => Ok(()),
            () = tokio::time::sleep(PATIENCE) => Ok(()),
        };
        sent.map_err(AmqpError::at("acknowledge"))
    }
}

/// How long acknowledgements may wait for a connection that is full.
const PATIENCE: Duration = Duration::from_secs(10);
