//! A run of records in one file: appended plainly, then sealed as compressed blocks and an index.
//!
//! `BASE.log` is a plain one, `BASE.zst` a sealed one; BASE is the number of its first record. A
//! block is some 64 KiB of whole records: as much as is read to answer for its last line.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, Raw};
use super::resume::Point;

/// A segment is sealed when it has grown to this, in bytes.
pub(super) const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// A block is closed when it has grown to this, in bytes.
const BLOCK_BYTES: u32 = 64 * 1024;

/// The largest file that is taken for one of ours, in bytes: one batch may follow a full segment.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The largest block that is taken for one of ours: one longest line may follow a full block.
const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Containers whose resume points are kept.
const POINTS_MAX: usize = 16;

/// Fast: sealing shares the machine with the containers.
const COMPRESSION: i32 = 1;

/// The end of a sealed file, and its version.
const MAGIC: &[u8; 8] = b"cclogs\0\x01";

/// The index's length and checksum, and the magic.
const FOOTER_BYTES: u64 = 16;

/// The level of a block that no filter may skip.
pub(super) const ALWAYS: u8 = u8::MAX;

/// Some whole records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// In the file.
    pub offset: u64,
    /// In the file; less than `raw` when compressed.
    pub stored: u32,
    /// As records.
    pub raw: u32,
    /// The number of its first record.
    pub first: u64,
    pub records: u32,
    pub oldest: i64,
    pub newest: i64,
    /// The worst level of its lines.
    pub worst: u8,
}

/// What is known about a segment while it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub blocks: Vec<Block>,
    /// Length of the plain file.
    pub end: u64,
    /// The number that the next record gets.
    pub next: u64,
    pub points: Points,
}

/// The resume points of the containers that wrote last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Points(pub Vec<(u32, Point)>);

impl Points {
    pub(super) fn get(&self, source: u32) -> Point {
        self.0.iter().find(|it| it.0 == source).map(|it| it.1).unwrap_or_default()
    }

    fn of(&mut self, source: u32) -> &mut Point {
        let place = self.0.iter().position(|it| it.0 == source).unwrap_or_else(|| {
            if self.0.len() == POINTS_MAX {
                self.0.remove(0);
            }
            self.0.push((source, Point::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

impl Index {
    pub(super) fn new(base: u64) -> Self {
        Self { next: base, ..Self::default() }
    }

    /// Takes a record that was appended.
    pub(super) fn add(&mut self, raw: &Raw<'_>) {
        let full = self.blocks.last().is_none_or(|block| block.raw >= BLOCK_BYTES);
        if full {
            let (offset, first) = (self.end, self.next);
            let (oldest, newest) = (i64::MAX, i64::MIN);
            let (stored, raw, records, worst) = (0, 0, 0, 0);
            self.blocks.push(Block { offset, stored, raw, first, records, oldest, newest, worst });
        }
        self.end += raw.bytes as u64;
        let Some(block) = self.blocks.last_mut() else { return };
        block.raw += raw.bytes as u32;
        block.stored = block.raw;
        if let Some(points) = raw.checkpoint() {
            self.points = Points(points);
        }
        if !raw.is_numbered() {
            return;
        }
        block.records += 1;
        block.oldest = block.oldest.min(raw.at);
        block.newest = block.newest.max(raw.at);
        block.worst = block.worst.max(if raw.is_gap() { ALWAYS } else { raw.level() });
        self.next += 1;
        if raw.line().is_some() {
            self.points.of(raw.source).step(raw.at);
        } else if raw.is_mark() && raw.source != 0 {
            let point = self.points.of(raw.source);
            point.marked = point.marked.max(raw.at);
        }
    }

    /// The oldest and the newest time; none without a record.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        let oldest = self.blocks.iter().map(|block| block.oldest).min()?;
        let newest = self.blocks.iter().map(|block| block.newest).max()?;
        (oldest <= newest).then_some((oldest, newest))
    }

    /// Reads a plain file up to the first record that is not whole and sound, which is `end`.
    pub(super) fn scan(base: u64, bytes: &[u8]) -> Self {
        let mut index = Self::new(base);
        while let Some(raw) = record::decode(&bytes[index.end as usize..]) {
            index.add(&raw);
        }
        index
    }
}

pub(super) fn plain_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

pub(super) fn sealed_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.zst"))
}

/// Reads a plain file and says where its sound part ends.
pub(super) fn open_plain(folder: &Path, base: u64) -> io::Result<(Index, u64)> {
    let path = plain_path(folder, base);
    let length = std::fs::metadata(&path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large to be ours"));
    }
    let bytes = std::fs::read(&path)?;
    Ok((Index::scan(base, &bytes), bytes.len() as u64))
}

/// Turns a plain file into a sealed one; a crash at any point leaves at least one of them whole.
/// Answers the sealed file's length.
pub(super) fn seal(folder: &Path, base: u64, index: &Index) -> io::Result<u64> {
    let plain = plain_path(folder, base);
    let bytes = std::fs::read(&plain)?;
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    let (mut out, mut blocks) = (Vec::new(), index.blocks.clone());
    for block in &mut blocks {
        let start = block.offset as usize;
        let raw = bytes.get(start..start + block.raw as usize).ok_or_else(cut_off)?;
        let stored = compressor.compress(raw)?;
        (block.offset, block.stored) = (out.len() as u64, stored.len() as u32);
        out.extend(stored);
    }
    let listed = write_index(&blocks, &index.points);
    out.extend(&listed);
    out.extend((listed.len() as u32).to_le_bytes());
    out.extend(crc32fast::hash(&listed).to_le_bytes());
    out.extend(MAGIC);
    let sealed = sealed_path(folder, base);
    let unfinished = sealed.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(&out)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &sealed)?;
    File::open(folder)?.sync_all()?;
    std::fs::remove_file(&plain)?;
    Ok(out.len() as u64)
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the segment is shorter than its index says")
}

const BLOCK_ENTRY_BYTES: usize = 45;

fn write_index(blocks: &[Block], points: &Points) -> Vec<u8> {
    let mut out = (blocks.len() as u32).to_le_bytes().to_vec();
    for block in blocks {
        out.extend(block.offset.to_le_bytes());
        out.extend(block.stored.to_le_bytes());
        out.extend(block.raw.to_le_bytes());
        out.extend(block.first.to_le_bytes());
        out.extend(block.records.to_le_bytes());
        out.extend(block.oldest.to_le_bytes());
        out.extend(block.newest.to_le_bytes());
        out.push(block.worst);
    }
    let body = record::Body::Checkpoint(points.0.clone());
    record::encode(&record::Draft { at: 0, source: 0, body }, &mut out);
    out
}

fn read_index(bytes: &[u8]) -> Option<(Vec<Block>, Points)> {
    let count = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let (entries, rest) = bytes[4..].split_at_checked(count.checked_mul(BLOCK_ENTRY_BYTES)?)?;
    let entry = |it: &[u8]| {
        Some(Block {
            offset: u64::from_le_bytes(*it.first_chunk()?),
            stored: u32::from_le_bytes(*it[8..].first_chunk()?),
            raw: u32::from_le_bytes(*it[12..].first_chunk()?),
            first: u64::from_le_bytes(*it[16..].first_chunk()?),
            records: u32::from_le_bytes(*it[24..].first_chunk()?),
            oldest: i64::from_le_bytes(*it[28..].first_chunk()?),
            newest: i64::from_le_bytes(*it[36..].first_chunk()?),
            worst: it[44],
        })
    };
    let blocks = entries.chunks_exact(BLOCK_ENTRY_BYTES).map(entry).collect::<Option<_>>()?;
    Some((blocks, Points(record::decode(rest)?.checkpoint()?)))
}

/// A segment whose blocks can be read.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<File>,
    sealed: bool,
    pub blocks: Vec<Block>,
    pub points: Points,
    /// Of the file, in bytes.
    pub length: u64,
}

impl Reader {
    /// Opens a closed segment, sealed or not yet.
    pub(super) fn open(folder: &Path, base: u64) -> io::Result<Self> {
        match Self::open_sealed(folder, base) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let open = || {
            let file = File::open(plain_path(folder, base))?;
            let (index, length) = open_plain(folder, base)?;
            Ok(Self {
                file: file.into(),
                sealed: false,
                blocks: index.blocks,
                points: index.points,
                length,
            })
        };
        match open() {
            // It was sealed in between.
            Err::<_, io::Error>(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::open_sealed(folder, base)
            }
            found => found,
        }
    }

    /// Opens a sealed segment.
    pub(super) fn open_sealed(folder: &Path, base: u64) -> io::Result<Self> {
        let file = File::open(sealed_path(folder, base))?;
        let length = file.metadata()?.len();
        let footer_at = length.checked_sub(FOOTER_BYTES).ok_or_else(cut_off)?;
        let mut footer = [0; FOOTER_BYTES as usize];
        file.read_exact_at(&mut footer, footer_at)?;
        let [a, b, c, d, e, f, g, h, magic @ ..] = footer;
        let (size, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let at = footer_at.checked_sub(u64::from(size)).filter(|_| magic == *MAGIC);
        let mut listed = vec![0; size.min(FILE_BYTES_MAX as u32) as usize];
        file.read_exact_at(&mut listed, at.ok_or_else(cut_off)?)?;
        if crc32fast::hash(&listed) != sum {
            return Err(cut_off());
        }
        let (blocks, points) = read_index(&listed).ok_or_else(cut_off)?;
        Ok(Self { file: file.into(), sealed: true, blocks, points, length })
    }

    /// A reader of the segment that is being written.
    pub(super) fn active(file: Arc<File>, index: &Index) -> Self {
        let (blocks, points) = (index.blocks.clone(), Points::default());
        Self { file, sealed: false, blocks, points, length: index.end }
    }

    /// The records of a block, into `raw`.
    pub(super) fn load(&self, block: &Block, raw: &mut Vec<u8>) -> io::Result<()> {
        let (stored, size) = (block.stored as usize, block.raw as usize);
        if stored > BLOCK_BYTES_MAX || size > BLOCK_BYTES_MAX {
            return Err(cut_off());
        }
        raw.resize(size.max(stored), 0);
        self.file.read_exact_at(&mut raw[..stored], block.offset)?;
        if self.sealed {
            *raw = zstd::bulk::decompress(&raw[..stored], size)?;
        }
        raw.truncate(size);
        Ok(())
    }
}
