//! SIGTERM and SIGINT: once to stop, twice to drop what runs, three times to end here and now.

use std::io;
use std::process;
use std::thread;

use tokio::runtime::Builder;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::shutdown::Shutdown;

/// Passes signals on to a worker until it is dropped.
///
/// It has a thread and a runtime of its own, so that tasks which block every thread of the
/// worker's runtime cannot keep a signal from being heard.
#[derive(Debug)]
pub(crate) struct Signals {
    _listening: DropGuard,
}

impl Signals {
    /// Starts to listen. When this returns, no signal ends the process any more.
    pub(crate) fn pass_to(shutdown: Shutdown) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let mut source = {
            let _inside = runtime.enter();
            Source::install()?
        };
        let listening = CancellationToken::new();
        let over = listening.clone();
        let listen = move || {
            runtime.block_on(async {
                let _over = over.run_until_cancelled(pass(&mut source, &shutdown)).await;
            });
        };
        thread::Builder::new().name("hereafter-signals".to_owned()).spawn(listen)?;
        Ok(Self { _listening: listening.drop_guard() })
    }
}

async fn pass(source: &mut Source, shutdown: &Shutdown) {
    let signal = source.next().await;
    tracing::info!(target: "hereafter::worker", signal, "stopping; once more to drop what runs");
    shutdown.request();
    let signal = source.next().await;
    tracing::warn!(target: "hereafter::worker", signal, "dropping what runs; once more to end at once");
    shutdown.request();
    let signal = source.next().await;
    tracing::error!(target: "hereafter::worker", signal, "ending at once; jobs in hand run again when their leases end");
    process::exit(1);
}

/// Where signals come from.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Source {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    /// Inside of a runtime. When this returns, no signal ends the process any more.
    pub(crate) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal and names it. Cancel-safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Where signals come from.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) struct Source {
    ctrl_c: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Source {
    /// Inside of a runtime. When this returns, no signal ends the process any more.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self { ctrl_c: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for a signal and names it. Cancel-safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        self.ctrl_c.recv().await;
        "Ctrl-C"
    }
}
