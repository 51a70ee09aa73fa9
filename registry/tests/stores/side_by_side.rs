//! Random requests to the embedded registry and to a real etcd, over the wire: every answer is the same, field by field,
//! and every watch tells the same story.

mod generate;
mod servers;
mod sides;
mod watching;

use std::cell::RefCell;
use std::ops::RangeInclusive;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use self::generate::Step;
use self::sides::Sides;

/// Steps in a sequence, about 150 on the average, and sequences.
const STEPS: RangeInclusive<usize> = 10..=290;
const SEQUENCES: u32 = 40;
/// A sequence that differs is made shorter for so many milliseconds.
const SHRINKING: u32 = 20_000;

/// Carries out a sequence on both. Says what differs, if anything.
async fn carry_out(sides: &mut Sides, steps: Vec<Step>) -> Result<(), String> {
    sides.begin().await;
    for (number, step) in steps.into_iter().enumerate() {
        let told = format!("{step:?}");
        sides.step(step).await.map_err(|difference| format!("step {number}, {told}: {difference}"))?;
    }
    sides.end().await
}

/// Whoever moves from one to the other, or uses etcd's tools and clients, must not notice.
#[test]
fn it_answers_as_etcd_does() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config =
        Config { cases: SEQUENCES, max_shrink_time: SHRINKING, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    // Both serve one sequence after the other; where they differed once they would differ ever after.
    let kept = RefCell::new(None);
    let result = runner.run(&generate::sequence(STEPS), |steps| {
        runtime.block_on(async {
            let taken = kept.take();
            let mut sides = match taken {
                Some(sides) => sides,
                None => Sides::start().await,
            };
            carry_out(&mut sides, steps).await.map_err(TestCaseError::fail)?;
            kept.replace(Some(sides));
            Ok(())
        })
    });
    // The servers' tasks end within their runtime.
    runtime.block_on(async { drop(kept) });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
            panic!("{why}\nin this sequence:\n{}", steps.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
}
