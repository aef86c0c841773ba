//! Two queues in front of the threads that compute: queries are always taken before documents.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::team::Link;
use crate::embed::{Error, Kind};

/// Texts that may wait in one lane; with the longest texts a few minutes of work.
const WAITING_MAX: usize = 4_096;
/// Bytes of text per batch, about 500 tokens. Packed batches are at full speed from 100 tokens on,
/// and a query waits for at most one of them.
const BATCH_BYTES: usize = 2_048;

/// One text and whoever waits for its vector.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// Position in the caller's list, for its error message.
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) reply: oneshot::Sender<Result<Vec<f32>, Error>>,
}

/// The same texts as another thread's, to be computed together with it.
#[derive(Debug)]
pub(super) struct Assistance {
    pub(super) sequences: Arc<Vec<Vec<u32>>>,
    pub(super) link: Link,
}

/// What a thread does next.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Vec<Request>),
    Assist(Assistance),
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queries: VecDeque<Request>,
    documents: VecDeque<Request>,
    /// Asked of threads that wait; never more than do.
    assistance: Vec<Assistance>,
    waiting_threads: usize,
    closed: bool,
}

impl Lanes {
    /// Queues all requests of one call, or none.
    pub(super) fn push(&self, kind: Kind, requests: Vec<Request>) -> Result<(), Error> {
        let mut state = self.lock();
        let lane = match kind {
            Kind::Query => &mut state.queries,
            Kind::Document => &mut state.documents,
        };
        if requests.len() > WAITING_MAX {
            let count = requests.len();
            return Err(Error::permanent(format!(
                "{count} texts in one call, at most {WAITING_MAX} are taken; send fewer at a time"
            )));
        }
        if lane.len() + requests.len() > WAITING_MAX {
            return Err(Error::transient(format!("{} texts are already waiting", lane.len())));
        }
        lane.extend(requests);
        self.changed.notify_all();
        Ok(())
    }

    /// Asks a waiting thread to help; `false` when all are busy, and then nobody will.
    pub(super) fn assist(&self, assistance: Assistance) -> bool {
        let mut state = self.lock();
        let free = state.waiting_threads > state.assistance.len();
        if free {
            state.assistance.push(assistance);
            self.changed.notify_all();
        }
        free
    }

    /// Waits for work; a batch is of one lane. `None` once closed.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            // Another thread is in the middle of a text until it gets this help.
            if let Some(assistance) = state.assistance.pop() {
                return Some(Work::Assist(assistance));
            }
            if state.closed {
                return None;
            }
            let batch = match take_batch(&mut state.queries) {
                queries if queries.is_empty() => take_batch(&mut state.documents),
                queries => queries,
            };
            if !batch.is_empty() {
                return Some(Work::Batch(batch));
            }
            state.waiting_threads += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting_threads -= 1;
        }
    }

    /// Lets the threads end after their batch; requests still queued are dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queries.clear();
        state.documents.clear();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first requests that somebody still waits for, up to the batch's size but at least one.
fn take_batch(lane: &mut VecDeque<Request>) -> Vec<Request> {
    let mut batch: Vec<Request> = Vec::new();
    let mut bytes = 0;
    while let Some(request) = lane.pop_front_if(|next| {
        batch.is_empty() || next.reply.is_closed() || bytes + next.text.len() <= BATCH_BYTES
    }) {
        if !request.reply.is_closed() {
            bytes += request.text.len();
            batch.push(request);
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::minilm::team;

    type Reply = oneshot::Receiver<Result<Vec<f32>, Error>>;

    fn request(kind: Kind, text: &str) -> (Request, Reply) {
        let (reply, waiting) = oneshot::channel();
        (Request { kind, index: 0, text: text.to_owned(), reply }, waiting)
    }

    fn texts(work: Option<Work>) -> Vec<String> {
        let Some(Work::Batch(batch)) = work else { panic!("{work:?} is no batch") };
        batch.into_iter().map(|request| request.text).collect()
    }

    #[test]
    fn queries_pass_documents_that_came_before_them() {
        let lanes = Lanes::default();
        let (document, _d) = request(Kind::Document, "document");
        let (query, _q) = request(Kind::Query, "query");
        lanes.push(Kind::Document, vec![document]).unwrap();
        lanes.push(Kind::Query, vec![query]).unwrap();
        assert_eq!(texts(lanes.next()), ["query"]);
        assert_eq!(texts(lanes.next()), ["document"]);
    }

    #[test]
    fn batches_are_bounded_but_never_empty() {
        let lanes = Lanes::default();
        let long = "x".repeat(BATCH_BYTES + 1);
        let half = "y".repeat(BATCH_BYTES / 2);
        let (requests, _waiting): (Vec<_>, Vec<_>) = [&long, &half, &half, &half]
            .map(|text| request(Kind::Document, text))
            .into_iter()
            .unzip();
        lanes.push(Kind::Document, requests).unwrap();
        let counts: Vec<usize> = (0..3).map(|_| texts(lanes.next()).len()).collect();
        assert_eq!(counts, [1, 2, 1]);
    }

    #[test]
    fn texts_nobody_waits_for_are_skipped() {
        let lanes = Lanes::default();
        let (given_up, waiting) = request(Kind::Document, "given up");
        let (wanted, _w) = request(Kind::Document, "wanted");
        drop(waiting);
        lanes.push(Kind::Document, vec![given_up, wanted]).unwrap();
        assert_eq!(texts(lanes.next()), ["wanted"]);
    }

    #[test]
    fn a_full_lane_asks_to_come_back_and_keeps_the_other_open() {
        let lanes = Lanes::default();
        let many = |n| (0..n).map(|_| request(Kind::Document, "x")).unzip::<_, _, Vec<_>, Vec<_>>();
        let (requests, _waiting) = many(WAITING_MAX);
        lanes.push(Kind::Document, requests).unwrap();
        let (one, _w) = many(1);
        assert!(matches!(lanes.push(Kind::Document, one), Err(Error::Transient { .. })));
        let (too_many, _w) = many(WAITING_MAX + 1);
        assert!(matches!(lanes.push(Kind::Document, too_many), Err(Error::Permanent { .. })));
        let (query, _q) = request(Kind::Query, "query");
        lanes.push(Kind::Query, vec![query]).unwrap();
    }

    #[test]
    fn only_a_waiting_thread_is_asked_to_help_and_does_so_first() {
        let lanes = Lanes::default();
        let assistance = || Assistance { sequences: Arc::default(), link: team::pair().1 };
        assert!(!lanes.assist(assistance()));
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| lanes.next());
            while !lanes.assist(assistance()) {
                std::thread::yield_now();
            }
            lanes.close();
            assert!(matches!(helper.join().unwrap(), Some(Work::Assist(_))));
        });
    }

    #[test]
    fn closing_ends_threads_and_drops_waiting_texts() {
        let lanes = Lanes::default();
        let (document, mut waiting) = request(Kind::Document, "document");
        lanes.push(Kind::Document, vec![document]).unwrap();
        lanes.close();
        assert!(lanes.next().is_none());
        assert_eq!(waiting.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    }
}
