//! Secrets and configs as a service sees them: files, owned by its user, of a volume that is
//! memory. Pure.
//!
//! Each service has one such volume, filled before each start and mounted file by file, so that a
//! config may lie anywhere and hides nothing beside it.

use std::io;

use zeroize::Zeroizing;

use crate::spec::{Service, User};

/// A block of an archive, in bytes: each file has one before it and fills its last.
const BLOCK_BYTES: usize = 512;

/// Of the volume, in bytes: each of 100 secrets and 100 configs at its largest.
pub const VOLUME_BYTES: usize = 112 << 20;

/// A file of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name in the volume.
    pub slot: String,
    /// Where the service finds it.
    pub target: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// Where its content comes from.
    pub source: Source<'a>,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// The project's secret of this name.
    Secret(&'a str),
    /// The stack's config of this name.
    Config(&'a str),
}

/// Whether a service has any.
#[must_use]
pub fn has(service: &Service) -> bool {
    !service.secrets.is_empty() || !service.configs.is_empty()
}

/// The files of a service.
pub fn of(service: &Service) -> impl Iterator<Item = File<'_>> {
    let secrets = service.secrets.iter().enumerate().map(|(number, it)| File {
        slot: format!("secret-{number}"),
        target: &it.target,
        mode: it.mode,
        source: Source::Secret(&it.name),
    });
    let configs = service.configs.iter().enumerate().map(|(number, it)| File {
        slot: format!("config-{number}"),
        target: &it.target,
        mode: it.mode,
        source: Source::Config(&it.name),
    });
    secrets.chain(configs)
}

/// An archive of files with their contents, which belong to `user`.
///
/// # Errors
/// Never for memory.
pub fn archive(
    files: &[(File<'_>, Zeroizing<Vec<u8>>)],
    user: User,
) -> io::Result<Zeroizing<Vec<u8>>> {
    // Never grows, so that no copy of a value is left behind.
    let bytes = files.iter().map(|(_, it)| it.len().next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES);
    let room = bytes.sum::<usize>() + 2 * BLOCK_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let mut archive = tar::Builder::new(&mut *bytes);
    for (file, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_uid(u64::from(user.uid));
        header.set_gid(u64::from(user.gid));
        header.set_mode(file.mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, &file.slot, content.as_slice())?;
    }
    archive.into_inner()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_archive_holds_each_file_with_its_owner_and_mode_and_never_grows() {
        let file = |number: u32| File {
            slot: format!("secret-{number}"),
            target: "/run/secrets/a",
            mode: 0o400,
            source: Source::Secret("a"),
        };
        let contents = [vec![], vec![7_u8; 511], vec![8_u8; 512], vec![9_u8; 64 << 10]];
        let files: Vec<_> = (0..).map(file).zip(contents.clone().map(Zeroizing::new)).collect();
        let made = archive(&files, User { uid: 20_016, gid: 20_017 }).expect("memory");
        let room = contents.iter().map(|it| it.len().next_multiple_of(512) + 512).sum::<usize>();
        assert_eq!((made.len(), made.capacity()), (room + 1024, room + 1024));
        let mut archive = tar::Archive::new(made.as_slice());
        for (entry, content) in archive.entries().expect("an archive").zip(contents) {
            let mut entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!(header.uid().ok(), Some(20_016));
            assert_eq!(header.gid().ok(), Some(20_017));
            assert_eq!(header.mode().ok(), Some(0o400));
            let mut read = Vec::new();
            entry.read_to_end(&mut read).expect("memory");
            assert_eq!(read, content);
        }
    }
}
