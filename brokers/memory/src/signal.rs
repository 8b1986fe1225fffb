//! [`Signal`]: tells waiting calls that there may be something for them.

use taskcore::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A bell that remembers: whoever listens before it looks misses no ring.
#[derive(Debug, Default)]
pub(crate) struct Signal(watch::Sender<()>);

impl Signal {
    pub(crate) fn ring(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// One call that waits for the bell.
pub(crate) struct Listener(watch::Receiver<()>);

impl Listener {
    /// Waits for a ring since `listen` or the last wait, until `until_ms` on the clock, or
    /// until a token fires. May return early; the caller looks again.
    pub(crate) async fn wait(
        &mut self,
        clock: &Clock,
        until_ms: i64,
        tokens: [&CancellationToken; 2],
    ) {
        tokio::select! {
            // It fails only once the store is gone, and the caller holds the store.
            _ = self.0.changed() => {}
            () = clock.sleep_until_ms(until_ms) => {}
            () = tokens[0].cancelled() => {}
            () = tokens[1].cancelled() => {}
        }
    }
}
