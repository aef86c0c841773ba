//! Which instance a command talks to: the one of the data directory, or the one that
//! `COMMANDCENTER_URL` and `COMMANDCENTER_TOKEN_FILE` name.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use crate::{cli::Global, error::Error, servers};

/// The file in which a running instance says where it listens.
pub(crate) const INSTANCE_FILE: &str = "instance.json";

/// The file with the first administrator's token.
pub(crate) const TOKEN_FILE: &str = "admin.token";

/// Longest file with a secret or an address in it, in bytes.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where to connect, and as whom.
pub(crate) struct Instance {
    /// The address of the REST API.
    pub(crate) url: Url,
    /// The bearer token.
    pub(crate) token: SecretString,
}

/// What a running instance says about itself in [`INSTANCE_FILE`].
#[derive(Debug, Deserialize)]
pub(crate) struct InstanceFile {
    /// The address of pages and REST.
    pub(crate) http: String,
    /// Its process.
    pub(crate) pid: Option<i32>,
}

impl InstanceFile {
    /// Reads the file of a data directory.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(INSTANCE_FILE);
        let text = read_small(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NoInstance { dir: dir.to_owned() },
            _ => Error::Unreadable {
                what: "the instance's address in",
                path: path.clone(),
                remedy: "run the command as the account that runs CommandCenter",
                source,
            },
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Error::Failed(format!(
                "{} is not what a running instance writes ({error}); start it again",
                path.display()
            ))
        })
    }

    /// The address to connect to: a server that listens everywhere is reached over loopback.
    pub(crate) fn url(&self) -> Result<Url, Error> {
        let mut url = parse_url(&self.http)?;
        let everywhere = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_unspecified(),
            Some(Host::Ipv6(ip)) => ip.is_unspecified(),
            _ => false,
        };
        if everywhere {
            // Only a URL without a host refuses one.
            let _ = url.set_ip_host(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Ok(url)
    }
}

/// The instance that runs with a data directory, as its first administrator.
pub(crate) fn of_data_dir(dir: &Path) -> Result<Instance, Error> {
    let file = InstanceFile::read(dir)?;
    Ok(Instance { url: file.url()?, token: first_token(dir, &file)? })
}

/// The first administrator's token, if the instance that says where it listens still runs. After a
/// kill -9 its file stays, and somebody else may listen there.
fn first_token(dir: &Path, file: &InstanceFile) -> Result<SecretString, Error> {
    let holder = servers::holder(dir).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NoInstance { dir: dir.to_owned() },
        _ => Error::Unreadable {
            what: "who runs on the data directory in",
            path: dir.join("lock"),
            remedy: "run the command as the account that runs CommandCenter",
            source,
        },
    })?;
    if holder.is_none() || holder != file.pid {
        return Err(Error::NoInstance { dir: dir.to_owned() });
    }
    read_token(&dir.join(TOKEN_FILE))
}

/// Finds the instance that the options name.
pub(crate) fn find(global: &Global) -> Result<Instance, Error> {
    let dir = global.data_dir();
    let Some(url) = &global.url else {
        let file = InstanceFile::read(&dir)?;
        let url = safe(file.url()?)?;
        let token = match &global.token_file {
            Some(file) => read_token(file)?,
            None => first_token(&dir, &file)?,
        };
        return Ok(Instance { url, token });
    };
    let url = safe(parse_url(url)?)?;
    // The token of this machine's instance is nobody else's business.
    let token_file = global.token_file.as_ref().ok_or_else(|| {
        Error::Usage(format!(
            "say which token to show {url}: name its file with --token-file or \
             COMMANDCENTER_TOKEN_FILE"
        ))
    })?;
    Ok(Instance { url, token: read_token(token_file)? })
}

/// Refuses an address that a token would reach in clear text over the network.
fn safe(url: Url) -> Result<Url, Error> {
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(Error::Usage(format!(
            "{url} would carry your token in clear text over the network; use https there, or run \
             the command on that machine"
        )));
    }
    Ok(url)
}

/// Reads a secret from a file, without the line end that editors leave; `-` is standard input.
pub(crate) fn read_secret(path: &Path) -> Result<SecretString, Error> {
    let unreadable = |source| Error::Unreadable {
        what: "the secret in",
        path: path.to_owned(),
        remedy: "name a file that you can read",
        source,
    };
    let text =
        if path == Path::new("-") { read_bounded(io::stdin().lock()) } else { read_small(path) };
    let text = text.map_err(unreadable)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Error::Usage(format!("{} is empty; it must hold a secret", path.display())));
    }
    Ok(secret.to_owned().into())
}

fn read_token(path: &Path) -> Result<SecretString, Error> {
    let text = read_small(path).map_err(|source| Error::Unreadable {
        what: "the API token in",
        path: path.to_owned(),
        remedy: "name a token that you may use with --token-file or COMMANDCENTER_TOKEN_FILE",
        source,
    })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Usage(format!(
            "{} does not hold an API token; `commandcenter token create` makes one",
            path.display()
        )));
    }
    Ok(token.to_owned().into())
}

fn read_small(path: &Path) -> io::Result<String> {
    read_bounded(File::open(path)?)
}

fn read_bounded(reader: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    reader.take(SMALL_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SMALL_FILE_BYTES_MAX {
        let message = format!("longer than {SMALL_FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

fn parse_url(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| {
            Error::Usage(format!(
                "{text:?} is not the address of a CommandCenter; give one like \
                 http://127.0.0.1:8080 or https://center.example.org"
            ))
        })
}

/// Whether requests to the address stay on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        let check = |text: &str| is_loopback(&parse_url(text).expect("an address"));
        for near in ["http://localhost:1", "http://127.0.0.9", "http://[::1]:8080/"] {
            assert!(check(near), "{near}");
        }
        for far in ["http://10.0.0.1", "http://localhost.example.org", "http://0.0.0.0"] {
            assert!(!check(far), "{far}");
        }
        for bad in ["", "center", "ftp://host", "http://u:p@host", "file:///etc/passwd"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_over_loopback() {
        for (told, used) in [
            ("http://0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("http://[::]:8080", "http://127.0.0.1:8080/"),
            ("http://192.168.1.2:8080", "http://192.168.1.2:8080/"),
        ] {
            let file = InstanceFile { http: told.to_owned(), pid: None };
            assert_eq!(file.url().expect("an address").as_str(), used);
        }
    }
}
