//! The files of a folder that are documents: Markdown, text and HTML, without what is hidden.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use url::Url;
use walkdir::{DirEntry, WalkDir};

/// Largest file that is imported, in bytes: the limit of a document.
pub(crate) const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How deep folders are followed.
const DEPTH_MAX: usize = 64;

/// What is imported, by the end of the name.
const MEDIA_TYPES: [(&str, &str); 5] = [
    ("md", "text/markdown"),
    ("markdown", "text/markdown"),
    ("txt", "text/plain"),
    ("html", "text/html"),
    ("htm", "text/html"),
];

/// A file that is a document by its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Where it lies, without links.
    pub(crate) path: PathBuf,
    /// Its place below the folder that was named, or its name.
    pub(crate) relative: PathBuf,
    /// What it holds.
    pub(crate) media_type: &'static str,
}

/// Something in the folder.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A document.
    Document(Document),
    /// A file of another kind, a link, or something hidden.
    Skipped,
    /// A place that cannot be read.
    Unreadable(PathBuf, io::Error),
}

impl Document {
    /// The document that a path names, when its name says that it is one.
    fn at(path: &Path, relative: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        let (_, media_type) = MEDIA_TYPES.iter().find(|(known, _)| *known == extension)?;
        Some(Self { path: path.to_owned(), relative: relative.to_owned(), media_type })
    }

    /// Its stable name: the same file is the same document however the import names its folder,
    /// and files of the same name in two folders are two.
    pub(crate) fn external_id(&self) -> String {
        match self.path.to_str() {
            Some(path) => path.to_owned(),
            // Two names that are not Unicode must not become one.
            None => self.url().to_string(),
        }
    }

    /// Its address as a `file:` URL.
    pub(crate) fn url(&self) -> Url {
        Url::from_file_path(&self.path).expect("the path is absolute")
    }

    /// Its bytes; `None` when there are more than [`FILE_BYTES_MAX`].
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes))
    }
}

/// What lies at `path`, a file or a folder, in the order of names. Links below it are not
/// followed: they may lead out, and what they show inside is there anyway.
///
/// # Errors
/// When there is nothing at `path`.
pub(crate) fn entries(path: &Path) -> io::Result<impl Iterator<Item = Entry> + use<>> {
    let root = path.canonicalize()?;
    let walk = WalkDir::new(&root)
        .max_depth(DEPTH_MAX)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !(is_hidden(entry) && is_folder(entry)));
    Ok(walk.filter_map(move |entry| match entry {
        Ok(entry) if is_folder(&entry) => None,
        Ok(entry) => Some(classify(&entry, &root)),
        Err(error) => {
            let path = error.path().unwrap_or(&root).to_owned();
            Some(Entry::Unreadable(path, error.into()))
        }
    }))
}

fn classify(entry: &DirEntry, root: &Path) -> Entry {
    let hidden = entry.depth() > 0 && is_hidden(entry);
    if hidden || !entry.file_type().is_file() {
        return Entry::Skipped;
    }
    let relative = match entry.path().strip_prefix(root) {
        Ok(relative) if relative != Path::new("") => relative,
        _ => Path::new(entry.file_name()),
    };
    Document::at(entry.path(), relative).map_or(Entry::Skipped, Entry::Document)
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_dir()
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn documents(path: &Path) -> (Vec<String>, usize) {
        let mut names = Vec::new();
        let mut skipped = 0;
        for entry in entries(path).unwrap() {
            match entry {
                Entry::Document(document) => names.push(document.relative.display().to_string()),
                Entry::Skipped => skipped += 1,
                Entry::Unreadable(path, error) => panic!("{}: {error}", path.display()),
            }
        }
        (names, skipped)
    }

    #[test]
    fn documents_are_found_in_order_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("docs");
        let outside = dir.path().join("outside");
        for folder in [&root.join("guide"), &root.join(".git"), &outside] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in [
            "b.MD",
            "a.markdown",
            "guide/c.txt",
            "guide/d.html",
            "e.htm",
            "f.pdf",
            "g",
            ".h.md",
            ".git/i.md",
        ] {
            fs::write(root.join(file), file).unwrap();
        }
        fs::write(outside.join("secret.md"), "secret").unwrap();
        symlink(&outside, root.join("out")).unwrap();
        symlink(outside.join("secret.md"), root.join("link.md")).unwrap();
        let (names, skipped) = documents(&root);
        assert_eq!(names, ["a.markdown", "b.MD", "e.htm", "guide/c.txt", "guide/d.html"]);
        // f.pdf, g, .h.md and the two links.
        assert_eq!(skipped, 5);
    }

    #[test]
    fn a_file_and_its_folder_name_the_same_document() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.md");
        fs::write(&file, "a").unwrap();
        let id = |path: &Path| match entries(path).unwrap().next() {
            Some(Entry::Document(document)) => document.external_id(),
            other => panic!("{other:?}"),
        };
        assert_eq!(id(&file), id(dir.path()));
        assert_eq!(documents(&file), (vec!["a.md".to_owned()], 0));
    }

    #[test]
    fn a_file_over_the_limit_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large.md");
        let size = |bytes: u64| {
            File::create(&path).unwrap().set_len(bytes).unwrap();
            let document = Document::at(&path, Path::new("large.md")).unwrap();
            document.read().unwrap().map(|bytes| bytes.len() as u64)
        };
        assert_eq!(size(FILE_BYTES_MAX), Some(FILE_BYTES_MAX));
        assert_eq!(size(FILE_BYTES_MAX + 1), None);
    }
}
