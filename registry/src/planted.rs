//! Faults that are planted on purpose, to see that the simulator finds them.
//!
//! A line of production code that keeps a promise asks [`is`] whether it is to be broken. Only a build with debug
//! assertions can be asked to break anything, and only the thread that called [`plant`]; in every other build, and so in
//! everything that is installed, [`is`] is the constant `false` and the compiler drops what depends on it. A Cargo
//! feature would do the same, but features unify: one test that asked for it would compile the workspace twice, and would
//! plant the faults in whatever else is built beside it.

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Schedules are written without comparing the leader's key.
    NoFence,
    /// An engine takes a unit for given back as soon as it is off the schedule.
    NoWaitForStop,
    /// An agent acknowledges before the stop job has finished.
    EarlyAcknowledgement,
    /// A lease counts from the arrival of an answer, not from the sending of its request.
    LeaseFromReceipt,
    /// An agent believes in its lease until it is told otherwise.
    LeaseWithoutClock,
    /// An agent accepts a schedule older than the one that it carried out.
    OldGeneration,
    /// An agent takes an absent schedule for an empty one.
    AbsentIsEmpty,
    /// The brake never goes on.
    NoBrake,
    /// Absence is believed whatever one's own session says of the store.
    NoEvidence,
    /// A machine that returns takes part before it has caught up.
    NoCatchingUp,
    /// A watch that broke is opened from now on, and not from where it ended.
    WatchFromNow,
    /// A write of unknown outcome is taken to have failed.
    UnknownIsFailed,
    /// An agent obeys the store of another cluster.
    ForeignStore,
    /// An agent that starts restarts what runs.
    AdoptionRestarts,
    /// Units of a machine are worked at one after the other.
    OneAtATime,
    /// The next leader does not know which units are still to be given back.
    LeavingForgotten,
    /// Taking units from a lost machine does not compare that it is still absent.
    NoAbsenceCompare,
    /// The timer of the fence counts from the arrival of an answer, not from the sending of its request.
    FenceFromReceipt,
    /// The timer of the fence is not armed.
    FenceNotArmed,
    /// A leader does not wait until a lost machine must have stopped what has `OnDisconnect=stop`.
    StopBoundIgnored,
    /// An agent takes any record of its machine's name for its own.
    CopyTakesOver,
    /// What runs from a membership in another cluster counts as this one's.
    OrphansAreOwn,
    /// A unit's file or note that could not be written counts as written.
    DiskErrorIgnored,
    /// An engine asks to be woken for what it cannot do then, at a time that has passed.
    WakesInVain,
    /// What a machine is still stopping uses nothing of it any more.
    RoomNotReserved,
    /// What a machine is still stopping does not count against `MaxPerMachine=` any more.
    NumberNotReserved,
    /// A machine is given units whether it has room for them or not.
    NoRoomAsked,
    /// No start waits for another.
    StartNotHeld,
    /// The last state of a unit that changes often is not written.
    StaleStates,
}

#[cfg(debug_assertions)]
mod cell {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants a fault for this thread, or none.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    /// Whether this promise is to be broken.
    #[must_use]
    pub fn is(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(not(debug_assertions))]
mod cell {
    use super::Fault;

    /// Whether this promise is to be broken: never.
    #[must_use]
    #[inline(always)]
    pub const fn is(_: Fault) -> bool {
        false
    }
}

#[cfg(debug_assertions)]
pub use cell::plant;

pub use cell::is;
