//! Two threads on one text: each computes its shard of every layer, and twice per layer they
//! exchange what they have and add it up.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use super::matrix::Write;
use super::weights::SHARDS;

/// How often a thread looks for the other's half before it sleeps: about as long as waking takes.
const SPINS: usize = 20_000;

/// One end of the connection between the two threads.
#[derive(Debug)]
pub(super) struct Link {
    /// Which shard this end computes.
    pub(super) shard: usize,
    to: SyncSender<Vec<f32>>,
    from: Receiver<Vec<f32>>,
}

/// The two ends.
pub(super) fn pair() -> (Link, Link) {
    let (to_second, from_first) = sync_channel(1);
    let (to_first, from_second) = sync_channel(1);
    let first = Link { shard: 0, to: to_second, from: from_second };
    let second = Link { shard: 1, to: to_first, from: from_first };
    (first, second)
}

/// Activations to which every shard adds: directly by a thread alone, otherwise gathered apart
/// until the threads exchange them.
pub(super) struct Sum<'a> {
    /// What was there; with two threads unchanged until [`finish`](Self::finish).
    pub(super) total: &'a mut [f32],
    partial: &'a mut Vec<f32>,
    link: Option<&'a Link>,
}

impl<'a> Sum<'a> {
    pub(super) fn new(
        total: &'a mut [f32],
        partial: &'a mut Vec<f32>,
        link: Option<&'a Link>,
    ) -> Self {
        if link.is_some() {
            partial.resize(total.len(), 0.0);
        }
        Self { total, partial, link }
    }

    /// The shards that this thread computes.
    pub(super) fn shards(&self) -> Range<usize> {
        shards(self.link)
    }

    /// Where the next product goes, and how.
    pub(super) fn rows_from(&mut self, start: usize) -> (&mut [f32], Write) {
        match self.link {
            None => (&mut self.total[start..], Write::Add),
            Some(_) => (&mut self.partial[start..], Write::Replace),
        }
    }

    /// Makes `total` complete.
    pub(super) fn finish(self) {
        if let Some(link) = self.link {
            link.add_both(self.partial, self.total);
        }
    }
}

/// The shards of a thread alone or at one end of a link.
pub(super) fn shards(link: Option<&Link>) -> Range<usize> {
    link.map_or(0..SHARDS, |link| link.shard..link.shard + 1)
}

impl Link {
    /// Adds both threads' `mine` to `sum`, in the order of the shards, so that both threads get
    /// the same bits, and the same as one thread alone.
    ///
    /// # Panics
    /// When the other thread has panicked: neither can finish the text.
    pub(super) fn add_both(&self, mine: &[f32], sum: &mut [f32]) {
        let gone = "the other thread is there until its last exchange";
        self.to.send(mine.to_vec()).expect(gone);
        let theirs = self.receive().expect(gone);
        let (first, second) = match self.shard {
            0 => (mine, theirs.as_slice()),
            _ => (theirs.as_slice(), mine),
        };
        for ((sum, first), second) in sum.iter_mut().zip(first).zip(second) {
            *sum = *sum + first + second;
        }
    }

    fn receive(&self) -> Option<Vec<f32>> {
        for _ in 0..SPINS {
            match self.from.try_recv() {
                Ok(theirs) => return Some(theirs),
                Err(TryRecvError::Empty) => spin_loop(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        self.from.recv().ok()
    }
}
