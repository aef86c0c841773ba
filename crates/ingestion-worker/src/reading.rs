//! Reads feeds and pages off the reactor, within a deadline.

use std::time::Duration;

use proto::{Failure, Reason};

/// Real feeds and pages take milliseconds; one that takes longer than this is made to be slow.
pub const TIME_MAX: Duration = Duration::from_secs(60);

/// Does CPU-bound work that may take long enough to hold up other work on this thread.
///
/// # Errors
/// `UNREADABLE` when it panics, or is not done within `limit`; its thread is left behind then.
pub async fn read<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let unreadable = |why: String| Failure::new(Reason::Unreadable, format!("{what} {why}"));
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(unreadable("crashed its reader".to_owned())),
        Err(_) => Err(unreadable(format!("took longer than {limit:?} to read and was given up"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_slow_or_crashes_is_given_up() {
        let quick = read("x", TIME_MAX, || 7).await;
        assert_eq!(quick, Ok(7));
        let crash = read("https://a.example/", TIME_MAX, || panic!("a bug")).await;
        let crash = crash.map(|(): ()| ()).expect_err("it panicked");
        assert_eq!(crash.reason, Reason::Unreadable);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let slow = read("https://a.example/", Duration::from_millis(20), move || ended.recv());
        let slow = slow.await.expect_err("it waits for this test");
        assert!(slow.message.contains("https://a.example/ took longer than 20ms"), "{slow}");
        drop(end);
    }
}
