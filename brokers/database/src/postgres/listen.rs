//! [`Listening`]: learns of the commits of other processes from `NOTIFY`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::database::{Ear, Kinds, Wake, Watch};

/// What is told: anything; that jobs were stored; that jobs were handed out, or have said something. A program
/// that does not know a word takes it for anything.
pub(super) const KINDS: Kinds = Kinds { news: "n", jobs: "j", readers: "r" };

/// A thread that listens, which ends when this is dropped. It is no task, because it outlives the
/// runtime of whoever opened the store.
#[derive(Debug)]
struct Listening {
    stop: DropGuard,
    ended: oneshot::Receiver<()>,
}

/// Listens on a channel to all but one sender.
pub(super) fn watch(
    options: &PgConnectOptions,
    channel: String,
    own: String,
) -> Result<Watch, std::io::Error> {
    let wake = Arc::new(Wake::default());
    // Until it listens.
    wake.set_deaf(true);
    let stop = CancellationToken::new();
    let (has_ended, ended) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ear =
        Heard { options: options.clone(), channel, own, wake: wake.clone(), stop: stop.clone() };
    thread::Builder::new().name("hereafter-listen".to_owned()).spawn(move || {
        runtime.block_on(ear.listen());
        // Connections are closed with it.
        drop(runtime);
        // Whoever waits may have gone.
        let _ = has_ended.send(());
    })?;
    Ok(Watch::with_ear(wake, Box::new(Listening { stop: stop.drop_guard(), ended })))
}

#[async_trait]
impl Ear for Listening {
    async fn close(self: Box<Self>) {
        let Self { stop, ended } = *self;
        drop(stop);
        // An error means that the thread has ended, which is what was asked for.
        let _ = ended.await;
    }
}

struct Heard {
    options: PgConnectOptions,
    channel: String,
    own: String,
    wake: Arc<Wake>,
    stop: CancellationToken,
}

impl Heard {
    /// Listens, again and again with growing pauses where it cannot.
    async fn listen(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = self.listen_once(&mut pause) => {}
                () = self.stop.cancelled() => return,
            }
            self.wake.set_deaf(true);
            // What was committed meanwhile was not heard.
            self.wake.ring();
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Listens until the connection is lost.
    async fn listen_once(&self, pause: &mut Duration) {
        let Ok(mut listener) = self.connect().await else { return };
        *pause = FIRST_PAUSE;
        self.wake.set_deaf(false);
        self.wake.ring();
        // `None` is a lost connection.
        while let Ok(Some(heard)) = listener.try_recv().await {
            match heard.payload().split_once(':') {
                Some((_, sender)) if sender == self.own => {}
                Some((kind, _)) if kind == KINDS.readers => self.wake.ring_for_readers(),
                Some((kind, _)) if kind == KINDS.jobs => self.wake.ring_for_workers(),
                // Whoever notifies by hand means it.
                _ => self.wake.ring(),
            }
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(&self.channel).await?;
        Ok(listener)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);
