//! Drives a state machine by the clock, the store, and its owner.

use std::ops::ControlFlow;

use tokio::sync::mpsc::UnboundedReceiver;

use super::clock::{Alarm, boot_now};
use crate::step::{StateMachine, StoreEvent};

/// What happens to a machine that is driven.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<E> {
    /// From the store.
    Store(StoreEvent),
    /// From its owner.
    Own(E),
    /// Its wakeup time has come.
    Tick,
}

/// Drives `machine` until `on_effect` breaks, or its owner has dropped the sender of `own`.
///
/// `to_event` turns what happens into the machine's events. The machine is not told that this begins: its owner sends
/// the first event.
///
/// # Errors
/// When the kernel gives no timer.
pub async fn drive<M, E>(
    machine: &mut M,
    store: &mut UnboundedReceiver<StoreEvent>,
    own: &mut UnboundedReceiver<E>,
    mut to_event: impl FnMut(Input<E>) -> M::Event,
    mut on_effect: impl FnMut(M::Effect) -> ControlFlow<()>,
) -> std::io::Result<()>
where
    M: StateMachine,
{
    let mut alarm = Alarm::new()?;
    loop {
        alarm.set(machine.wakeup())?;
        let input = tokio::select! {
            // Owners first, then what the store said, then the clock: an answer that came while this process was held up
            // counts before the time-out that it would have prevented.
            biased;
            input = own.recv() => match input {
                Some(input) => Input::Own(input),
                None => return Ok(()),
            },
            Some(event) = store.recv() => Input::Store(event),
            rung = alarm.ring() => {
                rung?;
                Input::Tick
            }
        };
        let is_tick = matches!(input, Input::Tick);
        for effect in machine.step(boot_now(), to_event(input)) {
            if on_effect(effect).is_break() {
                return Ok(());
            }
        }
        if is_tick {
            // A timer that has run out is always ready: a machine that asks again for a time that has passed would keep
            // this thread, and what it has asked of the store would never be sent.
            tokio::task::yield_now().await;
        }
    }
}
