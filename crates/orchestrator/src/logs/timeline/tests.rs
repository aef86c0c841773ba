//! A timeline on a real disk, as it should be and damaged.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::logs::filter::Filter;
use crate::logs::frame::Output;
use crate::logs::level::Level;
use crate::logs::record::{Kind, Record};
use crate::logs::scan::{self, Limit};

/// The container that everything comes from.
const SOURCE: u32 = 7;

const ALL: Limit = Limit { records: usize::MAX, bytes: usize::MAX };

fn line(number: u64) -> Draft {
    let text = format!("line {number:08} {}", "padding ".repeat(12)).into_bytes();
    let level = number.is_multiple_of(10).then_some(Level::Error);
    let kind = Kind::Line { output: Output::Stdout, level, truncated: false, text };
    Draft { at: number as i64 * 1_000, source: SOURCE, body: Body::Record(kind) }
}

fn fill(timeline: &Timeline, numbers: std::ops::RangeInclusive<u64>) {
    let drafts: Vec<Draft> = numbers.map(line).collect();
    for batch in drafts.chunks(500) {
        timeline.append(batch).expect("the disk takes it");
    }
}

/// A timeline of several segments; the last number.
fn large() -> (TempDir, Timeline, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let timeline = Timeline::open(folder.path()).expect("it opens");
    fill(&timeline, 1..=80_000);
    assert!(timeline.snapshot().closed.len() >= 2, "several segments");
    (folder, timeline, 80_000)
}

/// The numbers in the texts, where the gaps are, and how many lines they tell.
fn seen(records: &[Record]) -> (Vec<u64>, Vec<u64>) {
    let (mut lines, mut gaps) = (Vec::new(), Vec::new());
    for record in records {
        match &record.kind {
            Kind::Line { text, .. } => {
                let text = String::from_utf8_lossy(text);
                lines.push(text[5..13].parse().expect("a number"));
            }
            Kind::Gap(gap) => gaps.push(gap.lines),
            Kind::Mark(_) => {}
        }
    }
    (lines, gaps)
}

fn read(timeline: &Timeline) -> (Vec<u64>, Vec<u64>) {
    seen(&scan::forward(&timeline.snapshot(), 0, &Filter::default(), ALL).records)
}

/// The files with this ending, oldest first.
fn files(folder: &TempDir, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == ending));
    paths.sort();
    paths
}

#[test]
fn what_was_stored_is_read_and_goes_on_after_a_restart() {
    let (folder, timeline, last) = large();
    let all: Vec<u64> = (1..=last).collect();
    assert_eq!(read(&timeline), (all, vec![]));
    drop(timeline);
    let timeline = Timeline::open(folder.path()).expect("it opens again");
    assert_eq!((timeline.last(), timeline.point(SOURCE).at), (last, last as i64 * 1_000));
    fill(&timeline, last + 1..=last + 10);
    assert_eq!(read(&timeline), ((1..=last + 10).collect(), vec![]));
}

#[test]
fn a_page_begins_after_any_number_and_a_tail_has_any_length() {
    let (_folder, timeline, last) = large();
    let snapshot = timeline.snapshot();
    let filter = Filter::default();
    for after in [1, 499, 500, last / 2, last - 1, last, last + 5] {
        let limit = Limit { records: 700, ..ALL };
        let page = scan::forward(&snapshot, after, &filter, limit);
        let expected: Vec<u64> = (after + 1..=last).take(700).collect();
        assert_eq!(page.seen, expected.last().copied().unwrap_or(after.max(last)), "{after}");
        assert_eq!(seen(&page.records).0, expected, "after {after}");
    }
    for records in [0, 1, 499, 10_000, last as usize + 1] {
        let found = scan::tail(&snapshot, &filter, Limit { records, ..ALL });
        let expected: Vec<u64> = (last.saturating_sub(records as u64) + 1..=last).collect();
        assert_eq!(seen(&found).0, expected, "tail {records}");
        let numbered = found.iter().all(|it| it.at == it.sequence as i64 * 1_000);
        assert!(numbered, "tail {records}");
    }
}

#[test]
fn filters_find_the_same_in_both_directions() {
    let (_folder, timeline, last) = large();
    let snapshot = timeline.snapshot();
    let errors = Filter::default().at_least(Level::Warn);
    let time = Filter::default().since(70_000_000).until(70_005_000);
    let text = Filter::default().containing("00077");
    let table = [
        (errors, (1..=last).filter(|it| it % 10 == 0).collect::<Vec<u64>>()),
        (time, (70_000..=70_005).collect()),
        (text, (1..=last).filter(|it| format!("{it:08}").contains("00077")).collect()),
        (Filter::default().containing("nowhere"), vec![]),
    ];
    for (filter, expected) in table {
        assert_eq!(seen(&scan::forward(&snapshot, 0, &filter, ALL).records).0, expected);
        assert_eq!(seen(&scan::tail(&snapshot, &filter, ALL)).0, expected);
    }
}

#[test]
fn a_missing_segment_is_a_gap_that_tells_how_many_lines() {
    let (folder, timeline, last) = large();
    let victim = timeline.snapshot().closed[1];
    let missing = victim.next - victim.base;
    fs::remove_file(segment::sealed_path(folder.path(), victim.base)).expect("it was there");
    let left: Vec<u64> = (1..victim.base).chain(victim.next..=last).collect();
    assert_eq!(read(&timeline), (left.clone(), vec![missing]), "noticed while running");
    drop(timeline);
    let timeline = Timeline::open(folder.path()).expect("it opens");
    assert_eq!(read(&timeline), (left, vec![missing]), "noticed at the start");
}

#[test]
fn a_damaged_block_is_a_gap_and_the_rest_is_read() {
    let (folder, timeline, last) = large();
    let path = &files(&folder, "zst")[0];
    let mut bytes = fs::read(path).expect("a segment");
    bytes[100] ^= 0xff;
    fs::write(path, bytes).expect("it can be written");
    let (lines, gaps) = read(&timeline);
    assert_eq!(gaps.len(), 1);
    assert_eq!(lines.len() as u64 + gaps[0], last);
}

#[test]
fn a_damaged_index_is_set_aside_and_shown_as_a_gap() {
    let (folder, timeline, last) = large();
    drop(timeline);
    let path = &files(&folder, "zst")[1];
    let length = fs::metadata(path).expect("a segment").len();
    let file = File::options().write(true).open(path).expect("a segment");
    file.set_len(length - 5).expect("it is cut");
    let timeline = Timeline::open(folder.path()).expect("it opens");
    let (lines, gaps) = read(&timeline);
    assert_eq!((lines.len() as u64 + gaps[0], gaps.len()), (last, 1));
    assert_eq!(files(&folder, "damaged").len(), 1);
}

#[test]
fn a_missing_last_segment_never_gives_a_number_twice() {
    let (folder, timeline, last) = large();
    drop(timeline);
    for path in files(&folder, "log") {
        fs::remove_file(path).expect("it was there");
    }
    let timeline = Timeline::open(folder.path()).expect("it opens");
    assert!(timeline.last() > last);
    // What Docker still has is read again from here.
    let resumed = timeline.point(SOURCE).at as u64 / 1_000;
    assert!(resumed < last);
    fill(&timeline, resumed + 1..=last);
    assert_eq!(read(&timeline), ((1..=last).collect(), vec![0]));
}

#[test]
fn a_crash_while_sealing_leaves_one_whole_segment() {
    let (folder, timeline, last) = large();
    let snapshot = timeline.snapshot();
    let first = snapshot.closed[0];
    let reader = segment::Reader::open(folder.path(), first.base).expect("a segment");
    let (mut plain, mut raw) = (Vec::new(), Vec::new());
    for block in &reader.blocks {
        reader.load(block, &mut raw).expect("a block");
        plain.extend_from_slice(&raw);
    }
    drop(timeline);
    // Before the sealed one has its name, and after.
    let (sealed, log) = (
        segment::sealed_path(folder.path(), first.base),
        segment::plain_path(folder.path(), first.base),
    );
    for renamed in [true, false] {
        fs::write(&log, &plain).expect("it can be written");
        if !renamed {
            fs::rename(&sealed, sealed.with_extension("tmp")).expect("it was there");
        }
        let timeline = Timeline::open(folder.path()).expect("it opens");
        assert_eq!(read(&timeline), ((1..=last).collect(), vec![]));
        timeline.seal_rest();
        assert!(sealed.exists() && !log.exists());
        assert!(files(&folder, "tmp").is_empty());
    }
}

#[test]
fn retention_removes_the_oldest_and_tells_whoever_comes_back() {
    let (folder, timeline, last) = large();
    let first = timeline.snapshot().closed[0];
    let before = timeline.bytes();
    assert_eq!(timeline.retain(u64::MAX, 0), 0);
    let removed = timeline.retain(before - 1, 0);
    assert_eq!((removed, timeline.bytes()), (first.bytes, before - first.bytes));
    assert_eq!(read(&timeline), ((first.next..=last).collect(), vec![]));
    let page = scan::forward(&timeline.snapshot(), 10, &Filter::default(), ALL);
    assert_eq!(seen(&page.records).1, [first.next - 11]);
    timeline.retain(u64::MAX, i64::MAX);
    assert!(files(&folder, "zst").is_empty());
    assert_eq!(timeline.last(), last);
}

#[test]
fn what_could_not_be_sealed_is_removed_as_well_and_hinders_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let timeline = Timeline::open(folder.path()).expect("it opens");
    // Nothing can be written where the first segment is to be sealed, as on a full disk.
    fs::create_dir(segment::sealed_path(folder.path(), 1).with_extension("tmp")).expect("made");
    fill(&timeline, 1..=80_000);
    let closed = timeline.snapshot().closed.clone();
    assert_eq!((closed[0].sealed, closed[1].sealed), (false, true), "{closed:?}");
    timeline.seal_rest();
    assert_eq!(timeline.retain(timeline.bytes() - 1, 0), closed[0].bytes);
    assert!(!segment::plain_path(folder.path(), 1).exists());
    assert_eq!(read(&timeline), ((closed[0].next..=80_000).collect(), vec![]));
    timeline.retain(u64::MAX, i64::MAX);
    assert!(files(&folder, "zst").is_empty());
}

#[test]
fn a_cursor_beyond_the_end_finds_nothing() {
    let (_folder, timeline, last) = large();
    for after in [last, u64::MAX - 1, u64::MAX] {
        let page = scan::forward(&timeline.snapshot(), after, &Filter::default(), ALL);
        assert!(page.records.is_empty() && page.seen == after, "{after}");
    }
}

#[test]
fn a_full_disk_loses_nothing_that_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let timeline = Timeline::open(folder.path()).expect("it opens");
    fill(&timeline, 1..=10);
    // A file that cannot be written stands for a disk that is full.
    let path = segment::plain_path(folder.path(), 1);
    let writable = {
        let mut state = timeline.state();
        std::mem::replace(&mut state.active.file, Arc::new(File::open(path).expect("a file")))
    };
    timeline.append(&[line(11)]).expect_err("it cannot be written");
    timeline.state().active.file = writable;
    fill(&timeline, 11..=12);
    assert_eq!(read(&timeline), ((1..=12).collect(), vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A crash leaves any prefix of the file, perhaps with rubbish after it.
    #[test]
    fn a_cut_off_tail_is_repaired_and_goes_on_without_loss(
        cut in 0.0_f64..1.0, rubbish in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let timeline = Timeline::open(folder.path()).expect("it opens");
        fill(&timeline, 1..=50);
        drop(timeline);
        let path = segment::plain_path(folder.path(), 1);
        let mut bytes = fs::read(&path).expect("a segment");
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        bytes.extend(&rubbish);
        fs::write(&path, &bytes).expect("it can be written");
        let timeline = Timeline::open(folder.path()).expect("it opens");
        let kept = timeline.point(SOURCE).at as u64 / 1_000;
        prop_assert!(kept as f64 >= (50.0 * cut).floor() - 2.0);
        fill(&timeline, kept + 1..=50);
        let (lines, gaps) = read(&timeline);
        prop_assert_eq!(lines, (1..=50).collect::<Vec<u64>>());
        prop_assert!(gaps.len() <= 1);
        drop(timeline);
        let timeline = Timeline::open(folder.path()).expect("it opens once more");
        prop_assert_eq!(read(&timeline).1, gaps);
    }
}
