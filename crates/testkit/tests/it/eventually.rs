//! Waiting for conditions.

use std::cell::Cell;
use std::time::Duration;

use testkit::{eventually, eventually_eq};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn answers_the_value_once_the_condition_holds() {
    let looks = Cell::new(0);
    let value = eventually(Duration::from_secs(5), || async {
        looks.set(looks.get() + 1);
        if looks.get() < 3 { Err("too early") } else { Ok("done") }
    });
    assert_eq!(value.await, "done");
    assert_eq!(looks.get(), 3);
}

#[tokio::test]
#[should_panic(expected = "last seen: Mismatch { expected: 2, seen: 1 }")]
async fn shows_what_was_seen_last() {
    eventually_eq(SHORT, 2, || async { 1 }).await;
}

#[tokio::test]
#[should_panic(expected = "the condition never answered")]
async fn does_not_wait_for_a_condition_that_hangs() {
    eventually(SHORT, std::future::pending::<Result<(), ()>>).await;
}
