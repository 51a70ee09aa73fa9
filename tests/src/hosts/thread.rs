//! A machine on a thread of its own, so that what it costs can be told from what the others cost.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fleet_registry::Store;
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::host::Host;

/// What is wanted of the thread.
enum Command {
    /// How much CPU time it has used.
    CpuTime(oneshot::Sender<Duration>),
    /// Turn the machine off.
    LosePower,
}

/// A machine, its connection to the store included, on a thread of its own. Dropping it turns it off.
#[derive(Debug)]
pub struct HostThread {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl HostThread {
    /// Turns a machine on. Both are called on the thread.
    pub fn start(
        connect: impl FnOnce() -> Result<Arc<dyn Store>> + Send + 'static,
        start: impl FnOnce(Arc<dyn Store>) -> Host + Send + 'static,
    ) -> Result<Self> {
        let (commands, received) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for a machine")?;
        let thread = std::thread::Builder::new()
            .name("host".to_owned())
            .spawn(move || {
                // What is left of the machine ends with the runtime.
                runtime.block_on(async move {
                    let host = start(connect()?);
                    obey(host, received).await
                })
            })
            .context("no thread for a machine")?;
        Ok(Self { commands, thread: Some(thread) })
    }

    /// The CPU time that it has used so far.
    pub async fn cpu_time(&self) -> Result<Duration> {
        let (answer, answered) = oneshot::channel();
        let gone = |_| anyhow!("the machine is off");
        self.commands.send(Command::CpuTime(answer)).map_err(|_| anyhow!("the machine is off"))?;
        answered.await.map_err(gone)
    }

    /// Turns it off; when this returns, nothing of it runs.
    pub fn lose_power(mut self) -> Result<()> {
        self.off()
    }

    fn off(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // One that has ended needs no telling.
        _ = self.commands.send(Command::LosePower);
        thread.join().map_err(|_| anyhow!("a machine panicked"))?
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        _ = self.off();
    }
}

async fn obey(host: Host, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<()> {
    while let Some(command) = commands.recv().await {
        match command {
            Command::CpuTime(answer) => {
                let used =
                    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("cannot read a thread's CPU time")?;
                // Whoever asked may have gone.
                _ = answer.send(used.into());
            }
            Command::LosePower => break,
        }
    }
    host.lose_power().await;
    Ok(())
}
