//! Twenty-four hours of churn in virtual time: neither keys nor memory grow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use fleet_tests::sim::{Rest, churn};

/// Memory that is a little more or less at two times of the same state: buffers that have grown to what they need, and
/// history that the next compaction takes. A leak of a hundred bytes a deed is twice as much.
const SLACK: usize = 192 * 1024;

/// The system's allocator, which counts what is in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_day_of_churn_leaves_as_many_keys_and_as_much_memory_as_two_hours() {
    let day = churn(1, || IN_USE.load(Ordering::Relaxed));
    assert_eq!(day.violation, None);
    let [first, early, late] = &day.rests;
    println!(
        "{} deeds, {} faults, {} steps; bytes in use: {} after {} hours, {} after {}, {} after {}; keys {:?}",
        day.deeds,
        day.losses,
        day.steps,
        first.heap,
        first.hours,
        early.heap,
        early.hours,
        late.heap,
        late.hours,
        late.keys
    );
    assert_eq!((first.hours, early.hours, late.hours), (4, 15, 24));
    assert!(day.deeds > 3_500 && day.losses > 80, "it was a busy day: {} {}", day.deeds, day.losses);
    assert_eq!(day.forgotten, 1, "the machine that was away for longer than machine_retention was forgotten meanwhile");
    for rest in &day.rests {
        assert_eq!(rest.unexplained, Vec::<String>::new(), "after {} hours", rest.hours);
        let without_notes = |rest: &Rest| {
            let mut keys = rest.keys.clone();
            // A unit that was moved has one, and no unit has two.
            assert!(keys.remove("notes").unwrap_or_default() <= keys["units"]);
            keys
        };
        assert_eq!(without_notes(rest), without_notes(first));
    }
    assert!(late.heap < early.heap + SLACK, "{} bytes after {} hours, {} before", late.heap, late.hours, early.heap);
}
