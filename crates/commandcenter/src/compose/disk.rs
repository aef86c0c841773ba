//! Reads the files that a Compose file names, each with a limit.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// A Compose file, a file of variables, or a config, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file's content.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    bounded(File::open(path)?)
}

fn bounded(file: impl io::Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(content)
}

/// A file's text.
pub(super) fn text(path: &Path) -> io::Result<String> {
    utf8(bytes(path)?)
}

/// The text of standard input, or whatever else is open.
pub(super) fn text_of(file: impl io::Read) -> io::Result<String> {
    utf8(bounded(file)?)
}

fn utf8(content: Vec<u8>) -> io::Result<String> {
    String::from_utf8(content).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// What to tell of a file that cannot be read.
pub(super) fn fault(name: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        _ => error.to_string(),
    };
    format!("{name} cannot be read: {why}; mend the path, or the file")
}
