//! What the terminal and the service manager ask for.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Shutdown, config};

/// Exit code of a process that a signal ended, as shells have it.
const EXIT_SIGNAL: u8 = 130;

/// Exit code of a configuration that a person must mend.
const EXIT_USAGE: u8 = 2;

/// A person was impatient.
#[derive(Debug, thiserror::Error)]
#[error("a second signal ended it at once; what was in flight was dropped")]
pub struct SecondSignal;

/// SIGTERM and Ctrl-C: the first asks to stop in good order, the second to end at once.
#[derive(Debug)]
pub struct Signals {
    stop: Shutdown,
    abort: Shutdown,
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// When they cannot be caught.
    pub fn watch() -> anyhow::Result<Self> {
        let (stop, abort) = (Shutdown::new(), Shutdown::new());
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let heard = hear(terminate, interrupt, [stop.clone(), abort.clone()]);
        // This task has no end of its own: it must hear the next signal until the very end.
        #[expect(clippy::disallowed_methods, reason = "outlives every task group by design")]
        tokio::spawn(heard);
        Ok(Self { stop, abort })
    }

    /// Cancelled by the first signal.
    #[must_use]
    pub fn stop(&self) -> Shutdown {
        self.stop.clone()
    }

    /// Runs the whole of a process until it ends by itself or a second signal comes. Then the work
    /// is dropped, and with it the programs that it started.
    ///
    /// # Errors
    /// Those of the work, and [`SecondSignal`].
    pub async fn run<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            ended = work => ended,
            () = self.abort.cancelled() => Err(SecondSignal.into()),
        }
    }
}

async fn hear(mut terminate: Signal, mut interrupt: Signal, asked: [Shutdown; 2]) {
    for token in asked {
        heard(&mut terminate, &mut interrupt).await;
        token.cancel();
    }
    // Whoever asks a third time finds a thread that hangs.
    heard(&mut terminate, &mut interrupt).await;
    std::process::exit(EXIT_SIGNAL.into());
}

async fn heard(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The exit code that tells how a process ended: 2 for a configuration that a person must mend,
/// 130 after a second signal, else 1.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<config::Error>().is_some() {
        EXIT_USAGE
    } else if error.downcast_ref::<SecondSignal>().is_some() {
        EXIT_SIGNAL
    } else {
        1
    }
}
