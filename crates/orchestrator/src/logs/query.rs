//! Questions about logs that are answered at once, and the merged view of several services.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cursor::Cursor;
use super::filter::Filter;
use super::project::Service;
use super::record::Record;
use super::scan::{self, Limit, Page};

/// Records of one answer, at most.
pub const TAIL_MAX: usize = 10_000;

/// Of texts in one answer: half of the largest message.
const ANSWER_BYTES_MAX: usize = proto::MESSAGE_BYTES_MAX / 2;

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Empty: every service of the project.
    pub services: Vec<String>,
    /// How many.
    pub tail: usize,
    /// What they must be.
    pub filter: Filter,
    /// The first after here, instead of the last of all.
    pub after: Option<Cursor>,
}

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub service: Arc<str>,
    /// Goes on after this record, in all services that were asked for.
    pub cursor: String,
    /// What there is to show.
    pub shown: Shown,
}

/// What an entry shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A record of the timeline.
    Record(Record),
    /// The follower was this many records behind; all of them follow.
    Lag(u64),
}

/// The records that are wanted, and where to go on.
pub(super) fn answer(services: &[Arc<Service>], query: &Query) -> (Vec<Entry>, Cursor) {
    let records = query.tail.min(TAIL_MAX);
    let limit = Limit { records, bytes: ANSWER_BYTES_MAX / services.len().max(1) };
    match &query.after {
        Some(after) => forward(services, after, &query.filter, limit),
        None => tail(services, &query.filter, limit),
    }
}

/// The first records after a cursor, merged by time.
pub(super) fn forward(
    services: &[Arc<Service>],
    after: &Cursor,
    filter: &Filter,
    limit: Limit,
) -> (Vec<Entry>, Cursor) {
    let mut cursor = Cursor::default();
    let mut ends = BTreeMap::new();
    let mut lists = Vec::with_capacity(services.len());
    for service in services {
        let from = after.0.get(&service.name).copied().unwrap_or(0);
        let Page { records, seen } =
            scan::forward(&service.timeline.snapshot(), from, filter, limit);
        cursor.0.insert(service.name.clone(), from);
        ends.insert(service.name.clone(), (records.last().map(|it| it.sequence), seen));
        lists.push((service.name.clone(), records));
    }
    let mut merged = merge(lists);
    merged.truncate(limit.records);
    let entries = place(merged, &mut cursor);
    // What a filter left out after the last record of a service need not be looked at again.
    for (service, (last, seen)) in ends {
        if let Some(position) = cursor.0.get_mut(&service)
            && last.is_none_or(|last| *position >= last)
        {
            *position = seen.max(*position);
        }
    }
    (entries, cursor)
}

fn tail(services: &[Arc<Service>], filter: &Filter, limit: Limit) -> (Vec<Entry>, Cursor) {
    let mut end = Cursor::default();
    let mut lists = Vec::with_capacity(services.len());
    for service in services {
        let snapshot = service.timeline.snapshot();
        end.0.insert(service.name.clone(), snapshot.index.next - 1);
        lists.push((service.name.clone(), scan::tail(&snapshot, filter, limit)));
    }
    let mut merged = merge(lists);
    merged.drain(..merged.len().saturating_sub(limit.records));
    let mut cursor = end.clone();
    for (service, record) in merged.iter().rev() {
        cursor.0.insert(service.clone(), record.sequence - 1);
    }
    (place(merged, &mut cursor), end)
}

/// Merges lists by time. Each keeps its own order, whatever its clock did.
fn merge(lists: Vec<(Arc<str>, Vec<Record>)>) -> Vec<(Arc<str>, Record)> {
    let total = lists.iter().map(|it| it.1.len()).sum();
    let mut merged = Vec::with_capacity(total);
    let mut heads: Vec<_> = lists
        .into_iter()
        .map(|(service, records)| (service, records.into_iter().peekable()))
        .collect();
    loop {
        let first = heads
            .iter_mut()
            .filter_map(|(service, records)| {
                let at = records.peek()?.at;
                Some((at, service, records))
            })
            .min_by_key(|it| it.0);
        let Some((_, service, records)) = first else { return merged };
        merged.extend(records.next().map(|record| (service.clone(), record)));
    }
}

/// Gives each record the cursor after it; `cursor` ends after the last.
fn place(records: Vec<(Arc<str>, Record)>, cursor: &mut Cursor) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(records.len());
    for (service, record) in records {
        cursor.0.insert(service.clone(), record.sequence);
        let text = cursor.to_string();
        entries.push(Entry { service, cursor: text, shown: Shown::Record(record) });
    }
    entries
}
