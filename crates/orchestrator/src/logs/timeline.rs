//! The store of one service: segments in a folder, one of which is written.
//!
//! Numbers are never used twice. A hole between two segments is a gap: a segment that is missing,
//! or a tail that was cut off and repaired, after which numbers go on far beyond it. So a gap on
//! disk needs no record of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::{self, Body, Draft};
use super::resume::Point;
use super::segment::{self, Index, SEGMENT_BYTES};

/// How far numbers jump after a damage: more than records fit in a segment, so that none that was
/// lost, and that someone may have seen, is used again.
pub(super) const JUMP: u64 = 1 << 20;

/// A segment that is no longer written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub base: u64,
    /// The number after its last record.
    pub next: u64,
    pub oldest: i64,
    pub newest: i64,
    /// On disk.
    pub bytes: u64,
    pub sealed: bool,
}

/// The timeline of a service on disk.
#[derive(Debug)]
pub struct Timeline {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    closed: Arc<Vec<Closed>>,
    /// Segments that are being sealed: both of their forms are on disk.
    sealing: BTreeSet<u64>,
    active: Active,
}

#[derive(Debug)]
struct Active {
    file: Arc<File>,
    base: u64,
    index: Index,
}

/// What there was at one moment; later appends do not change it.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub folder: PathBuf,
    pub closed: Arc<Vec<Closed>>,
    /// Where the segment that is written begins, and its records so far.
    pub base: u64,
    pub index: Index,
    pub file: Arc<File>,
}

impl Timeline {
    /// Opens what is there, repairs it, or begins anew. A folder belongs to one process at a time.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (mut closed, mut last) = (Vec::new(), None);
        let (mut next, mut points, mut torn) = (1, segment::Points::default(), false);
        let found = list(folder)?;
        let newest = found.last_key_value().map(|it| *it.0);
        for (base, sealed) in found {
            let opened = if sealed { from_sealed(folder, base) } else { from_plain(folder, base) };
            next = next.max(base);
            let (index, bytes, cut) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), base, %error, "log segment lost");
                    set_aside(folder, base)?;
                    torn = true;
                    continue;
                }
            };
            // After a sealed segment there was one that was written.
            torn = cut || sealed;
            next = next.max(index.next);
            points = index.points.clone();
            if newest == Some(base) && !torn {
                last = Some((base, index));
            } else if index.times().is_some() {
                closed.push(summary(base, &index, bytes, sealed));
            } else {
                fs::remove_file(segment::plain_path(folder, base)).ok();
            }
        }
        let active = match last {
            Some((base, index)) => Active { file: append_to(folder, base)?, base, index },
            None => begin(folder, if torn { next + JUMP } else { next }, points)?,
        };
        let state = State { closed: Arc::new(closed), sealing: BTreeSet::new(), active };
        Ok(Self { folder: folder.to_owned(), state: Mutex::new(state) })
    }

    /// Adds records; answers the number of the last. A batch is some 64 KiB.
    ///
    /// # Errors
    /// When the disk is full or gone; then nothing was added and trying again is safe.
    pub(super) fn append(&self, drafts: &[Draft]) -> io::Result<u64> {
        let mut bytes = Vec::new();
        drafts.iter().for_each(|draft| record::encode(draft, &mut bytes));
        let (rolled, last) = {
            let mut state = self.state();
            let active = &mut state.active;
            active.file.write_all_at(&bytes, active.index.end)?;
            let mut rest = bytes.as_slice();
            while let Some(raw) = record::skim(rest) {
                active.index.add(&raw);
                rest = &rest[raw.bytes..];
            }
            let last = active.index.next - 1;
            let full = active.index.end >= SEGMENT_BYTES;
            (if full { Some(self.roll(&mut state)) } else { None }, last)
        };
        if let Some(rolled) = rolled {
            // The records are safe already; a segment that stays plain is sealed at the next start.
            if let Err(error) = rolled.and_then(|(base, index)| self.seal(base, &index)) {
                tracing::warn!(folder = %self.folder.display(), %error, "log segment not sealed");
            }
        }
        Ok(last)
    }

    /// Closes the segment that is written and begins the next.
    fn roll(&self, state: &mut State) -> io::Result<(u64, Index)> {
        let points = state.active.index.points.clone();
        let next = begin(&self.folder, state.active.index.next, points)?;
        let done = std::mem::replace(&mut state.active, next);
        let bytes = done.index.end;
        Arc::make_mut(&mut state.closed).push(summary(done.base, &done.index, bytes, false));
        Ok((done.base, done.index))
    }

    fn seal(&self, base: u64, index: &Index) -> io::Result<()> {
        self.state().sealing.insert(base);
        let sealed = segment::seal(&self.folder, base, index);
        let mut state = self.state();
        state.sealing.remove(&base);
        let bytes = sealed?;
        let closed = Arc::make_mut(&mut state.closed);
        if let Some(it) = closed.iter_mut().find(|it| it.base == base) {
            (it.bytes, it.sealed) = (bytes, true);
        }
        Ok(())
    }

    /// Seals what a crash or a full disk left plain. Takes some 20 ms for each. What cannot be
    /// sealed now stays as it is and can be read all the same.
    pub(super) fn seal_rest(&self) {
        let plain: Vec<u64> =
            self.state().closed.iter().filter(|it| !it.sealed).map(|it| it.base).collect();
        for base in plain {
            let opened = segment::open_plain(&self.folder, base);
            if let Err(error) = opened.and_then(|(index, _)| self.seal(base, &index)) {
                let folder = self.folder.display();
                tracing::warn!(%folder, base, %error, "log segment not sealed");
            }
        }
    }

    /// Where the stream of a container goes on.
    #[must_use]
    pub fn point(&self, source: u32) -> Point {
        self.state().active.index.points.get(source)
    }

    /// The number of the last record; 0 when there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state().active.index.next - 1
    }

    /// On disk, with the segment that is written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        state.closed.iter().map(|it| it.bytes).sum::<u64>() + state.active.index.end
    }

    /// The newest time of the oldest closed segment.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.state().closed.first().map(|it| it.newest)
    }

    /// Removes the oldest closed segments, while they are `bytes_max` in all or all their records
    /// are older than `before`; answers how many bytes went.
    pub(super) fn retain(&self, bytes_max: u64, before: i64) -> u64 {
        let mut removed = Vec::new();
        {
            let mut state = self.state();
            let mut total: u64 =
                state.closed.iter().map(|it| it.bytes).sum::<u64>() + state.active.index.end;
            let old = state.closed.iter().take_while(|it| {
                let free = !state.sealing.contains(&it.base);
                let goes = free && (total > bytes_max || it.newest < before);
                total -= if goes { it.bytes } else { 0 };
                goes
            });
            let count = old.count();
            removed.extend(Arc::make_mut(&mut state.closed).drain(..count));
        }
        for it in &removed {
            let path = if it.sealed { segment::sealed_path } else { segment::plain_path };
            if let Err(error) = fs::remove_file(path(&self.folder, it.base)) {
                tracing::warn!(folder = %self.folder.display(), %error, "old log not removed");
            }
        }
        removed.iter().map(|it| it.bytes).sum()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let Active { file, base, index } = &state.active;
        Snapshot {
            folder: self.folder.clone(),
            closed: state.closed.clone(),
            base: *base,
            index: index.clone(),
            file: file.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic between two statements above leaves nothing half done that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segments in a folder by base, and whether they are sealed. Of two forms of one segment the
/// sealed is whole.
fn list(folder: &Path) -> io::Result<BTreeMap<u64, bool>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let base = path.file_stem().and_then(|it| it.to_str()).and_then(|it| it.parse().ok());
        let Some(base) = base else { continue };
        match ending {
            "zst" => {
                found.insert(base, true);
            }
            "log" => {
                found.entry(base).or_insert(false);
            }
            "tmp" => fs::remove_file(&path)?,
            _ => {}
        }
    }
    for (base, _) in found.iter().filter(|it| *it.1) {
        fs::remove_file(segment::plain_path(folder, *base)).ok();
    }
    Ok(found)
}

/// An index with what a sealed segment says of itself, its length, and that nothing is cut off.
fn from_sealed(folder: &Path, base: u64) -> io::Result<(Index, u64, bool)> {
    let reader = segment::Reader::open_sealed(folder, base)?;
    let next = reader.blocks.last().map_or(base, |it| it.first + u64::from(it.records));
    let (blocks, points) = (reader.blocks, reader.points);
    Ok((Index { blocks, end: reader.length, next, points }, reader.length, false))
}

/// The sound part of a plain segment, its length, and whether something was cut off.
fn from_plain(folder: &Path, base: u64) -> io::Result<(Index, u64, bool)> {
    let (index, length) = segment::open_plain(folder, base)?;
    let cut = index.end < length || index.end == 0;
    if cut {
        tracing::warn!(folder = %folder.display(), base, sound = index.end, length, "log repaired");
        let file = File::options().write(true).open(segment::plain_path(folder, base))?;
        file.set_len(index.end)?;
    }
    let end = index.end;
    Ok((index, end, cut))
}

/// Keeps a file that nobody can read for a person to look at.
fn set_aside(folder: &Path, base: u64) -> io::Result<()> {
    for path in [segment::sealed_path(folder, base), segment::plain_path(folder, base)] {
        if path.exists() {
            fs::rename(&path, path.with_extension("damaged"))?;
        }
    }
    Ok(())
}

fn summary(base: u64, index: &Index, bytes: u64, sealed: bool) -> Closed {
    let (oldest, newest) = index.times().unwrap_or_default();
    Closed { base, next: index.next, oldest, newest, bytes, sealed }
}

fn append_to(folder: &Path, base: u64) -> io::Result<Arc<File>> {
    let path = segment::plain_path(folder, base);
    Ok(Arc::new(File::options().read(true).write(true).open(path)?))
}

/// Makes a segment that begins with the resume points.
fn begin(folder: &Path, base: u64, points: segment::Points) -> io::Result<Active> {
    let path = segment::plain_path(folder, base);
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
    let mut bytes = Vec::new();
    let body = Body::Checkpoint(points.0);
    record::encode(&Draft { at: 0, source: 0, body }, &mut bytes);
    if let Err(error) = file.write_all_at(&bytes, 0) {
        fs::remove_file(&path).ok();
        return Err(error);
    }
    Ok(Active { file: Arc::new(file), base, index: Index::scan(base, &bytes) })
}

#[cfg(test)]
mod tests;
