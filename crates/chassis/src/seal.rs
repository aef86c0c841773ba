//! Secrets at rest: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), bound to the place where they
//! lie.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;

/// Where a sealed value lies; a value copied to another place does not open.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Schema and table.
    pub table: &'a str,
    /// The row's id.
    pub row: &'a str,
    /// The column.
    pub column: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        // Lengths keep ("a", "bc") and ("ab", "c") apart.
        [self.table, self.row, self.column]
            .iter()
            .flat_map(|part| {
                u32::try_from(part.len())
                    .unwrap_or(u32::MAX)
                    .to_be_bytes()
                    .into_iter()
                    .chain(part.bytes())
            })
            .collect()
    }
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key file cannot be read, written or understood.
    #[error("the key file {path} {problem}")]
    KeyFile {
        /// Its path.
        path: String,
        /// What is wrong and what to do.
        problem: &'static str,
        /// The cause, where the system names one.
        #[source]
        source: Option<io::Error>,
    },
    /// The value was sealed with another key.
    #[error("the value is sealed with key {found}, not with ours, {ours}: restore that key file")]
    OtherKey {
        /// The id on the value.
        found: String,
        /// The id of our key.
        ours: String,
    },
    /// The value was changed, cut off or moved.
    #[error("the sealed value is damaged or lies in the wrong place: set the secret again")]
    Damaged,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// The key that seals this installation's secrets; its `Debug` shows only the id.
#[derive(Clone)]
pub struct Keyring {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", hex::encode(self.id))
    }
}

impl Keyring {
    /// Reads the key file, or makes it with mode 0600 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds something else.
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Self::of_file(path, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path)?;
                // Another replica may have been quicker: its key is ours, too.
                let text = fs::read_to_string(path)
                    .map_err(|e| unusable(path, "cannot be read", Some(e)))?;
                Self::of_file(path, text)
            }
            Err(error) => Err(unusable(path, "cannot be read", Some(error))),
        }
    }

    fn of_file(path: &Path, text: String) -> Result<Self, Error> {
        let text = Zeroizing::new(text);
        Self::parse(&text).ok_or_else(|| {
            unusable(path, "is not of the form ID:KEY; restore it from a backup", None)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, key) = text.trim().split_once(':')?;
        let id = hex::decode(id).ok()?.try_into().ok()?;
        let key = Zeroizing::new(STANDARD.decode(key).ok()?);
        Some(Self { id, cipher: XChaCha20Poly1305::new_from_slice(&key).ok()? })
    }

    /// Seals `plain` for `place`: key id, nonce, ciphertext.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0_u8; NONCE_BYTES];
        SysRng.try_fill_bytes(&mut nonce).map_err(|_| Error::NoRandomness)?;
        let aad = place.associated_data();
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .map_err(|_| Error::Damaged)?;
        Ok([&self.id[..], &nonce, &sealed].concat())
    }

    /// Opens what [`Keyring::seal`] made for the same place.
    ///
    /// # Errors
    /// [`Error::OtherKey`] or [`Error::Damaged`].
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or(Error::Damaged)?;
        if id != self.id {
            return Err(Error::OtherKey { found: hex::encode(id), ours: hex::encode(self.id) });
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Damaged)?;
        let aad = place.associated_data();
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| Error::Damaged)
    }
}

fn unusable(path: &Path, problem: &'static str, source: Option<io::Error>) -> Error {
    Error::KeyFile { path: path.display().to_string(), problem, source }
}

/// Makes a key file whole or not at all, and never in the place of one that is there.
fn make(path: &Path) -> Result<(), Error> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES + KEY_ID_BYTES]);
    SysRng.try_fill_bytes(bytes.as_mut()).map_err(|_| Error::NoRandomness)?;
    let (id, key) = bytes.split_at(KEY_ID_BYTES);
    let text = Zeroizing::new(format!("{}:{}\n", hex::encode(id), STANDARD.encode(key)));
    // The key's id is drawn at random, so that no other replica writes to the same place.
    let beside = path.with_added_extension(hex::encode(id));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            io::Write::write_all(&mut file, text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
    // What is left of a failure is of no use to anybody.
    let _ = fs::remove_file(&beside);
    written.map_err(|error| unusable(path, "cannot be made", Some(error)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PLACE: Place<'_> = Place { table: "ingestion.source", row: "7", column: "credential" };

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_with_its_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("seal.key");
        let keyring = Keyring::open_or_create(&path).expect("a new key");
        let mode = fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let sealed = keyring.seal(PLACE, b"s3cret").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        let again = Keyring::open_or_create(&path).expect("the same key");
        assert_eq!(again.open(PLACE, &sealed).expect("opens").as_slice(), b"s3cret");

        let elsewhere = Place { row: "8", ..PLACE };
        assert!(matches!(keyring.open(elsewhere, &sealed), Err(Error::Damaged)));
        let stranger = Keyring::open_or_create(&dir.path().join("other.key")).expect("a key");
        assert!(matches!(stranger.open(PLACE, &sealed), Err(Error::OtherKey { .. })));
        assert!(matches!(keyring.open(PLACE, &sealed[..20]), Err(Error::Damaged)));
    }

    #[test]
    fn replicas_that_start_together_share_one_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("seal.key");
        let start = std::sync::Barrier::new(8);
        let ids: Vec<_> = std::thread::scope(|scope| {
            let replica = || {
                start.wait();
                Keyring::open_or_create(&path).expect("a key").id
            };
            let replicas: Vec<_> = (0..8).map(|_| scope.spawn(replica)).collect();
            replicas.into_iter().map(|it| it.join().expect("it ends")).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 1, "nothing is left");
    }
}
