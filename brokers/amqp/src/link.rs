//! [`Link`]: keeps a session, whatever happens to the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use taskcore::broker::BrokerError;
use taskcore::error_chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::error::AmqpError;
use crate::options::AmqpOptions;
use crate::session::Session;

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Link {
    options: AmqpOptions,
    state: watch::Sender<State>,
    pub(crate) closed: CancellationToken,
}

#[derive(Debug, Clone)]
enum State {
    Up(Arc<Session>),
    Down(Option<AmqpError>),
}

impl Link {
    /// Connects. [`keep`](Self::keep) must run from then on.
    pub(crate) async fn open(options: AmqpOptions) -> Result<Arc<Self>, AmqpError> {
        let session = Session::open(&options, 1).await?;
        let (state, _) = watch::channel(State::Up(Arc::new(session)));
        Ok(Arc::new(Self { options, state, closed: CancellationToken::new() }))
    }

    /// Watches the connection and makes a new one when it is gone, until the link is closed.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut epoch = 1;
        while !self.closed.is_cancelled() {
            let up = match &*self.state.borrow() {
                State::Up(session) => Some(session.clone()),
                State::Down(_) => None,
            };
            let Some(session) = up else { return };
            let error = session.watch().await;
            session.close().await;
            if self.closed.is_cancelled() {
                return;
            }
            let reason = error.as_ref().map_or_else(|| "it ended".to_owned(), |it| error_chain(it));
            tracing::warn!(target: "hereafter", reason, "lost the connection to rabbitmq");
            let down = |source| AmqpError::DownSince { what: "it was lost", source };
            self.state.send_replace(State::Down(error.map(down)));
            self.reconnect(&mut epoch).await;
        }
    }

    async fn reconnect(&self, epoch: &mut u64) {
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        while !self.closed.is_cancelled() {
            *epoch += 1;
            match Session::open(&self.options, *epoch).await {
                Ok(session) => {
                    let seconds = begin.elapsed().as_secs_f32();
                    tracing::info!(target: "hereafter", seconds, "connected to rabbitmq again");
                    self.state.send_replace(State::Up(Arc::new(session)));
                    return;
                }
                Err(error) => {
                    tracing::debug!(target: "hereafter", error = error_chain(&error), "rabbitmq is not back yet");
                    self.state.send_replace(State::Down(Some(error)));
                }
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
                () = self.closed.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The session, waiting a while for a new one if there is none.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, BrokerError> {
        self.session_within(PATIENCE).await
    }

    pub(crate) async fn session_within(&self, wait: Duration) -> Result<Arc<Session>, BrokerError> {
        let mut state = self.state.subscribe();
        let is_up = |state: &State| matches!(state, State::Up(session) if session.is_sound());
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(BrokerError::Closed { broker: NAME }),
            // A channel that is closed without its connection is noticed within a second.
            _ = tokio::time::timeout(wait, state.wait_for(is_up)) => match &*self.state.borrow() {
                State::Up(session) if session.is_sound() => Ok(session.clone()),
                State::Down(Some(error)) => Err(error.clone().into()),
                _ => Err(AmqpError::Down.into()),
            },
        }
    }

    /// The session of now, if there is one.
    pub(crate) fn current(&self) -> Option<Arc<Session>> {
        match &*self.state.borrow() {
            State::Up(session) if session.is_sound() => Some(session.clone()),
            _ => None,
        }
    }

    /// Closes the connection for good.
    pub(crate) async fn close(&self) {
        self.closed.cancel();
        let session = self.current();
        if let Some(session) = session {
            session.close().await;
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Work is to resume within 10 s of the server's return.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long a call waits for a connection that is being made anew.
const PATIENCE: Duration = Duration::from_secs(10);
