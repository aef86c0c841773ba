//! Passwords that we make up and keep in files.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chassis::config::Secret;
use rand::TryRng;
use rand::rngs::SysRng;

use super::Error;

/// 256 bits, written as hexadecimal digits, so that no URL or statement has to escape them.
const PASSWORD_BYTES: usize = 32;

/// The password in a file, made up on the first call.
pub(crate) fn password(file: &Path) -> Result<Secret, Error> {
    match fs::read_to_string(file) {
        Ok(password) => return Ok(Secret::from(password.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file("read", file)(error)),
    }
    let mut bytes = [0; PASSWORD_BYTES];
    SysRng.try_fill_bytes(&mut bytes).expect("the kernel's random numbers never fail once it runs");
    let password = Secret::from(hex::encode(bytes));
    write(file, &password)?;
    Ok(password)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write(file: &Path, content: &Secret) -> Result<(), Error> {
    let unfinished = file.with_added_extension("new");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let written = opened.and_then(|mut it| {
        it.set_permissions(Permissions::from_mode(0o600))?;
        it.write_all(content.expose().as_bytes())?;
        it.sync_all()?;
        fs::rename(&unfinished, file)
    });
    written.map_err(Error::file("write", file))
}
