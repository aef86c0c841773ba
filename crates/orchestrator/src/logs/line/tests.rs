//! Streams that break anywhere.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::logs::frame::Decoder;
use crate::logs::resume::Resume;

/// The Engine cuts lines into pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;

/// What the Engine sends for these lines. A line that does not end is one of a killed process.
fn stream(lines: &[(Output, i64, Vec<u8>, bool)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (output, at, text, ended) in lines {
        let mut whole = text.clone();
        if *ended {
            whole.push(b'\n');
        }
        for piece in whole.chunks(PIECE_BYTES) {
            let time = chrono::DateTime::from_timestamp_nanos(*at);
            let mut payload = time.format("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string().into_bytes();
            payload.extend_from_slice(piece);
            bytes.extend([*output as u8 + 1, 0, 0, 0]);
            bytes.extend((payload.len() as u32).to_be_bytes());
            bytes.extend(payload);
        }
    }
    bytes
}

/// Reads as a reader does: a line is kept only when the resume point has not seen it.
fn read(bytes: &[u8], chunk: usize, resume: &mut Resume, kept: &mut Vec<Line>) -> Joiner {
    let (mut decoder, mut joiner) = (Decoder::default(), Joiner::default());
    for chunk in bytes.chunks(chunk.max(1)) {
        decoder.push(chunk);
        while let Some(frame) = decoder.take().expect("a good stream") {
            joiner.push(&frame);
            keep(&mut joiner, resume, kept);
        }
    }
    joiner
}

fn keep(joiner: &mut Joiner, resume: &mut Resume, kept: &mut Vec<Line>) {
    while let Some(line) = joiner.pop() {
        if resume.admit(line.at) {
            kept.push(line);
        }
    }
}

fn outputs() -> impl Strategy<Value = Output> {
    prop_oneof![Just(Output::Stdout), Just(Output::Stderr)]
}

prop_compose! {
    /// Lines with times that grow, sometimes by nothing, on both outputs. Unfinished lines have a
    /// time of their own, as they have in an Engine.
    fn lines()(steps in prop::collection::vec(
        (outputs(), 0_i64..3, prop_oneof![0_usize..40, 16_380_usize..16_390, 40_000_usize..40_010],
         prop::bool::weighted(0.9)), 1..12)
    ) -> Vec<(Output, i64, Vec<u8>, bool)> {
        let mut at = 1_800_000_000_000_000_000;
        steps.into_iter().enumerate().map(|(number, (output, step, length, ended))| {
            at += if ended { step } else { 1 };
            let text = format!("{number:03}").into_bytes();
            let text = text.into_iter().cycle().take(length.max(1)).collect();
            let line = (output, at, text, ended);
            if !ended { at += 1; }
            line
        }).collect()
    }
}

fn whole(lines: &[(Output, i64, Vec<u8>, bool)]) -> Vec<Line> {
    lines
        .iter()
        .map(|(output, at, text, _)| Line {
            output: *output,
            at: *at,
            text: text.clone(),
            truncated: false,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The transport breaks anywhere; the reader opens the stream again from what it has.
    #[test]
    fn a_cut_stream_loses_doubles_and_merges_nothing(
        lines in lines(), cut in 0.0_f64..1.0, chunk in 1_usize..20_000,
    ) {
        let all = stream(&lines);
        let cut = (all.len() as f64 * cut) as usize;
        let mut kept = Vec::new();
        let mut resume = Resume::default();
        read(&all[..cut], chunk, &mut resume, &mut kept);
        // The Engine sends everything from the time that we name, that time included.
        resume.reopen();
        let since = resume.since();
        let from: Vec<_> =
            lines.iter().filter(|line| since.is_none_or(|since| line.1 >= since)).cloned().collect();
        let mut joiner = read(&stream(&from), chunk, &mut resume, &mut kept);
        prop_assert!(resume.take_gap().is_none());
        joiner.finish();
        keep(&mut joiner, &mut resume, &mut kept);
        prop_assert_eq!(kept, whole(&lines));
    }
}

#[test]
fn each_byte_of_a_line_of_three_frames_may_be_the_last() {
    let at = 1_800_000_000_000_000_000;
    let lines = [
        (Output::Stdout, at, vec![b'a'; 3], true),
        (Output::Stdout, at + 1, vec![b'b'; 40_000], true),
        (Output::Stdout, at + 1, vec![b'c'; 3], true),
    ];
    let all = stream(&lines);
    let expected = whole(&lines);
    // The bodies of the frames are alike: the borders and their surroundings are what differs.
    let border = |cut: &usize| {
        *cut < 200 || *cut > all.len() - 200 || (cut % (PIECE_BYTES + 39)).abs_diff(60) < 80
    };
    for cut in (0..=all.len()).filter(border) {
        let (mut kept, mut resume) = (Vec::new(), Resume::default());
        read(&all[..cut], all.len(), &mut resume, &mut kept);
        resume.reopen();
        read(&all, all.len(), &mut resume, &mut kept);
        assert_eq!(kept, expected, "cut at {cut}");
    }
}

/// Pushes pieces of text at times, and answers the texts that came out.
fn joined(pieces: &[(Output, i64, &str)]) -> Vec<Line> {
    let mut joiner = Joiner::default();
    for (output, at, text) in pieces {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        joiner.push(&Frame { output: *output, at: *at, bytes });
    }
    std::iter::from_fn(|| joiner.pop()).collect()
}

#[test]
fn lines_come_in_the_order_in_which_they_began() {
    use Output::{Stderr, Stdout};
    let kept = joined(&[(Stdout, 1, "lo"), (Stderr, 2, "err\n"), (Stdout, 1, "ng\n")]);
    let texts: Vec<_> = kept.iter().map(|line| line.text.as_slice()).collect();
    assert_eq!(texts, [b"long".as_slice(), b"err"]);
}

#[test]
fn a_line_that_is_never_finished_holds_up_the_others_for_ten_seconds_only() {
    use Output::{Stderr, Stdout};
    let early = [(Stdout, 1, "prompt"), (Stderr, 2, "err\n")];
    assert!(joined(&early).is_empty());
    let late = [(Stdout, 1, "prompt"), (Stderr, HELD_NS_MAX + 2, "err\n"), (Stdout, 1, "rest\n")];
    let kept = joined(&late);
    assert_eq!(kept.len(), 2);
    assert_eq!((kept[0].text.as_slice(), kept[0].truncated), (b"prompt".as_slice(), true));
}

#[test]
fn lines_that_come_again_when_a_file_rotates_are_dropped() {
    use Output::{Stderr, Stdout};
    // Times of two outputs are not in order; the last three pieces come again.
    let pieces = [(Stdout, 3, "a\n"), (Stderr, 2, "b\n"), (Stdout, 5, "lo"), (Stdout, 5, "ng\n")];
    let all = [&pieces[..], &pieces[1..], &[(Stdout, 5, "new\n"), (Stderr, 4, "b\n")]].concat();
    let texts: Vec<_> = joined(&all).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, [b"a".as_slice(), b"b", b"long", b"new", b"b"]);
}

#[test]
fn a_line_over_the_limit_is_cut_and_marked_and_the_next_is_whole() {
    let mut joiner = Joiner::default();
    let at = 7;
    for _ in 0..70 {
        let bytes = Bytes::from(vec![b'x'; PIECE_BYTES]);
        joiner.push(&Frame { output: Output::Stdout, at, bytes });
    }
    for text in ["end\n", "next\r\n", "\n"] {
        let bytes = Bytes::from_static(text.as_bytes());
        joiner.push(&Frame { output: Output::Stdout, at, bytes });
    }
    let kept: Vec<Line> = std::iter::from_fn(|| joiner.pop()).collect();
    assert_eq!((kept[0].text.len(), kept[0].truncated), (LINE_BYTES_MAX, true));
    assert_eq!((kept[1].text.as_slice(), kept[1].truncated), (b"next\r".as_slice(), false));
    assert!(kept[2].text.is_empty() && !kept[2].truncated);
}
