//! Reads a timeline forwards from a number, or its end backwards.

use std::io;

use super::filter::Filter;
use super::record::{self, Gap, Kind, Record};
use super::segment::{Block, Reader};
use super::timeline::{JUMP, Snapshot};

/// How much is collected at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub records: usize,
    /// Of texts; one record may go beyond.
    pub bytes: usize,
}

/// What a forward reading found.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub records: Vec<Record>,
    /// Everything up to this number was looked at.
    pub seen: u64,
}

/// A stretch of a timeline: a segment, or a hole before it.
enum Stretch {
    Hole { gap: Record },
    Segment { base: u64, next: u64, oldest: i64, newest: i64 },
}

struct Collected {
    records: Vec<Record>,
    bytes: usize,
    limit: Limit,
}

impl Collected {
    fn new(limit: Limit) -> Self {
        Self { records: Vec::new(), bytes: 0, limit }
    }

    fn push(&mut self, record: Record) {
        self.bytes += match &record.kind {
            Kind::Line { text, .. } => text.len(),
            Kind::Mark(_) | Kind::Gap(_) => 0,
        };
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes
    }
}

/// The first records after a number.
pub(super) fn forward(snapshot: &Snapshot, after: u64, filter: &Filter, limit: Limit) -> Page {
    let mut found = Collected::new(limit);
    for stretch in stretches(snapshot, after) {
        match stretch {
            Stretch::Hole { gap } => {
                if gap.sequence > after && filter.overlaps(gap.at, gap.at) {
                    found.push(gap);
                }
            }
            Stretch::Segment { next, .. } if next <= after.saturating_add(1) => {}
            Stretch::Segment { oldest, newest, .. } if !filter.overlaps(oldest, newest) => {}
            segment => forward_segment(snapshot, &segment, after, filter, &mut found),
        }
        if found.is_full() {
            break;
        }
    }
    let seen = match found.records.last() {
        Some(last) if found.is_full() => last.sequence,
        _ => after.max(snapshot.index.next - 1),
    };
    Page { records: found.records, seen }
}

fn forward_segment(
    snapshot: &Snapshot,
    segment: &Stretch,
    after: u64,
    filter: &Filter,
    found: &mut Collected,
) {
    let reader = match reader(snapshot, segment) {
        Ok(reader) => reader,
        Err(gap) => return found.push(gap),
    };
    let mut raw = Vec::new();
    for block in &reader.blocks {
        let past = block.first + u64::from(block.records) <= after.saturating_add(1);
        if past || !filter.may_admit(block) {
            continue;
        }
        if let Err(error) = reader.load(block, &mut raw) {
            found.push(lost(block, &error));
            continue;
        }
        for record in records(&raw, block.first, filter) {
            if record.sequence > after {
                found.push(record);
                if found.is_full() {
                    return;
                }
            }
        }
    }
}

/// The last records up to a number, oldest first.
pub(super) fn tail(snapshot: &Snapshot, filter: &Filter, limit: Limit) -> Vec<Record> {
    let mut found = Collected::new(limit);
    let mut all = stretches(snapshot, 0);
    while let Some(stretch) = all.pop()
        && !found.is_full()
    {
        match stretch {
            Stretch::Hole { gap } if filter.overlaps(gap.at, gap.at) => found.push(gap),
            Stretch::Segment { oldest, newest, .. } if filter.overlaps(oldest, newest) => {
                tail_segment(snapshot, &stretch, filter, &mut found);
            }
            Stretch::Hole { .. } | Stretch::Segment { .. } => {}
        }
    }
    found.records.reverse();
    found.records
}

fn tail_segment(snapshot: &Snapshot, segment: &Stretch, filter: &Filter, found: &mut Collected) {
    let reader = match reader(snapshot, segment) {
        Ok(reader) => reader,
        Err(gap) => return found.push(gap),
    };
    let mut raw = Vec::new();
    for block in reader.blocks.iter().rev().filter(|block| filter.may_admit(block)) {
        if let Err(error) = reader.load(block, &mut raw) {
            found.push(lost(block, &error));
            continue;
        }
        let mut places = Vec::with_capacity(block.records as usize);
        let mut rest = raw.as_slice();
        while let Some(it) = record::skim(rest) {
            if it.is_numbered() {
                places.push(it);
            }
            rest = &rest[it.bytes..];
        }
        for (number, it) in places.iter().enumerate().rev().filter(|it| filter.admits(it.1)) {
            let sequence = block.first + number as u64;
            if let Some(kind) = it.kind() {
                found.push(Record { sequence, at: it.at, kind });
            }
            if found.is_full() {
                return;
            }
        }
    }
}

/// The wanted records of a block, numbered.
fn records(raw: &[u8], first: u64, filter: &Filter) -> impl Iterator<Item = Record> {
    let (mut rest, mut next) = (raw, first);
    std::iter::from_fn(move || {
        loop {
            let it = record::skim(rest)?;
            rest = &rest[it.bytes..];
            if !it.is_numbered() {
                continue;
            }
            let sequence = next;
            next += 1;
            if filter.admits(&it)
                && let Some(kind) = it.kind()
            {
                return Some(Record { sequence, at: it.at, kind });
            }
        }
    })
}

/// The timeline from the segment that holds the number after `after`, with its holes.
fn stretches(snapshot: &Snapshot, after: u64) -> Vec<Stretch> {
    let (oldest, newest) = snapshot.index.times().unwrap_or((i64::MAX, i64::MIN));
    let (base, next) = (snapshot.base, snapshot.index.next);
    let active = Stretch::Segment { base, next, oldest, newest };
    let start = snapshot.closed.partition_point(|it| it.next <= after.saturating_add(1));
    let closed = snapshot.closed[start..].iter().map(|it| {
        let (base, next, oldest, newest) = (it.base, it.next, it.oldest, it.newest);
        Stretch::Segment { base, next, oldest, newest }
    });
    let mut all = Vec::new();
    // Whoever goes on from a number is told of what was removed since; others are not.
    let mut before = (after > 0).then_some((after.saturating_add(1), 0));
    for stretch in closed.chain([active]) {
        if let Stretch::Segment { base, next, oldest, newest } = stretch {
            if let Some((expected, at)) = before
                && base > expected
            {
                let to = if oldest == i64::MAX { at } else { oldest };
                let first = all.is_empty() && start == 0 && after > 0;
                all.push(Stretch::Hole { gap: hole(expected, base, (at, to), first) });
            }
            let expected = before.map_or(next, |it| it.0.max(next));
            before = Some((expected, newest.max(0)));
            all.push(stretch);
        }
    }
    all
}

fn hole(expected: u64, base: u64, (from, to): (i64, i64), removed: bool) -> Record {
    let missing = base - expected;
    let lines = if missing < JUMP { missing } else { 0 };
    let reason = if removed { REMOVED } else { MISSING };
    let from = if from == 0 { to } else { from };
    let kind = Kind::Gap(Gap { from, to, lines, reason: reason.to_owned() });
    Record { sequence: base - 1, at: to, kind }
}

const REMOVED: &str = "older lines were removed to keep the log within its limits";
const MISSING: &str = "a part of the log is missing on disk or was cut off; lines that Docker \
                       still had follow";

/// A reader of the segment, or the gap that stands for it.
fn reader(snapshot: &Snapshot, segment: &Stretch) -> Result<Reader, Record> {
    let (base, next, oldest, newest) = match segment {
        Stretch::Segment { base, next, oldest, newest } => (*base, *next, *oldest, *newest),
        Stretch::Hole { gap } => return Err(gap.clone()),
    };
    if base == snapshot.base {
        return Ok(Reader::active(snapshot.file.clone(), &snapshot.index));
    }
    Reader::open(&snapshot.folder, base).map_err(|error| {
        tracing::warn!(base, %error, "log segment cannot be read");
        let gap = gap((oldest, newest), next - base, &error);
        Record { sequence: next - 1, at: newest, kind: gap }
    })
}

fn lost(block: &Block, error: &io::Error) -> Record {
    tracing::warn!(first = block.first, %error, "log block cannot be read");
    let kind = gap((block.oldest, block.newest), u64::from(block.records), error);
    let sequence = block.first + u64::from(block.records.max(1)) - 1;
    Record { sequence, at: block.newest, kind }
}

fn gap((from, to): (i64, i64), lines: u64, error: &io::Error) -> Kind {
    let reason = if error.kind() == io::ErrorKind::NotFound {
        MISSING.to_owned()
    } else {
        format!("a part of the log cannot be read on disk: {error}")
    };
    Kind::Gap(Gap { from, to, lines, reason })
}
