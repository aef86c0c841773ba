//! What names, paths and image references look like. Pure.

/// Service names are also host names in the project's networks.
pub(super) const NAME_MAX: usize = 63;

/// References of images, at most.
const IMAGE_MAX: usize = 255;

/// Lower-case letters, digits, `-` and `_`, and a letter or digit first.
pub(super) fn is_service(name: &str) -> bool {
    let rest =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    is_made_of(name, rest) && !name.starts_with(['-', '_'])
}

/// Of a network, volume, config or secret: also upper-case letters and `.`.
#[must_use]
pub fn is_object(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    is_made_of(name, rest) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A host name of one label or several.
pub(super) fn is_host(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    is_made_of(name, rest) && !name.starts_with(['-', '.']) && !name.ends_with(['-', '.'])
}

/// Of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.contains(['=', '\0'])
}

fn is_made_of(name: &str, rest: impl Fn(u8) -> bool) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(rest)
}

/// An absolute path without `.`, `..`, empty parts and a slash at its end.
pub(super) fn path(text: &str) -> Option<String> {
    if text == "/" {
        return Some(text.to_owned());
    }
    let rest = text.strip_prefix('/')?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    rest.split('/').all(plain).then(|| format!("/{rest}"))
}

/// What is wrong with a reference of an image, if anything.
pub(super) fn image_fault(image: &str) -> Option<String> {
    if image.is_empty() {
        return Some("must name the image, such as postgres:16".to_owned());
    }
    if image.len() > IMAGE_MAX {
        return Some(format!("must be at most {IMAGE_MAX} characters"));
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("must have a digest of the form @sha256: and 64 hex digits".to_owned());
    }
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(format!("{image:?} has a tag that no image can have"));
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 1 && is_registry(parts[0]) {
        parts.remove(0);
    }
    let fault = || format!("{image:?} is no reference of an image, such as example.org/app:1.2");
    (!parts.into_iter().all(is_repository_part)).then(fault)
}

fn is_digest(digest: &str) -> bool {
    let Some(hex) = digest.strip_prefix("sha256:") else { return false };
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tag(tag: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&tag.len()) && tag.bytes().all(rest) && !tag.starts_with(['.', '-'])
}

fn is_registry(part: &str) -> bool {
    let host = part.split_once(':').map_or(part, |(host, _)| host);
    (part.contains(['.', ':']) || part == "localhost") && is_host(host)
}

fn is_repository_part(part: &str) -> bool {
    let rest =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    !part.is_empty()
        && part.bytes().all(rest)
        && !part.starts_with(['.', '_', '-'])
        && !part.ends_with(['.', '_', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_images() {
        let digest = "a".repeat(64);
        let good = [
            "postgres",
            "postgres:16-alpine",
            "library/redis:7",
            "ghcr.io/acme/app:v1.2.3",
            "localhost:5000/app",
            "registry.example.org:5000/team/app:1.0_rc1",
            &format!("app@sha256:{digest}"),
            &format!("app:1@sha256:{digest}"),
        ];
        for image in good {
            assert_eq!(image_fault(image), None, "{image}");
        }
        let bad = [
            "",
            "Postgres",
            "app:",
            "app:-x",
            "app@sha256:abc",
            "app@md5:abc",
            "a//b",
            "app /x",
            "http://x/y",
            "-app",
            "app:tag:tag",
            "../app",
            "app\n",
        ];
        for image in bad {
            assert!(image_fault(image).is_some(), "{image:?}");
        }
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        assert_eq!(path("/srv/app/"), Some("/srv/app".to_owned()));
        assert_eq!(path("/"), Some("/".to_owned()));
        for bad in ["", "srv", "./x", "/a/../b", "/a/./b", "//", "/a//b", "/a\0"] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names() {
        for good in ["web", "web-1", "a_b", "0"] {
            assert!(is_service(good) && is_object(good) && is_host(good), "{good}");
        }
        for bad in ["", "Web", "-web", "_web", "we b", "a.b", &"a".repeat(64)] {
            assert!(!is_service(bad), "{bad}");
        }
        assert!(is_object("pgData.v2") && !is_object(".x") && !is_object("a/b"));
        assert!(is_host("db.internal") && !is_host("db.") && !is_host("-db"));
    }
}
