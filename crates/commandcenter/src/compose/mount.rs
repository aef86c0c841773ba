//! `volumes` and `tmpfs`: short and long forms.

use std::path::{Component, Path, PathBuf};

use proto::orchestrator::v1;

use super::{field::Field, key, report::Report, units};

/// What the short form may say after the target.
const OPTIONS: [(&str, bool); 8] = [
    ("ro", true),
    ("rw", false),
    ("nocopy", false),
    ("z", false),
    ("Z", false),
    ("cached", false),
    ("delegated", false),
    ("consistent", false),
];

/// Reads one item of `volumes`. Relative paths begin at the project's folder.
pub(super) fn read(field: &Field<'_>, folder: &Path, report: &mut Report) -> Option<v1::Mount> {
    if field.is_map() {
        return long(field, folder, report);
    }
    field.read(report, |text| short(text, folder))
}

fn short(text: &str, folder: &Path) -> Result<v1::Mount, String> {
    let mut parts = text.split(':');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let Some(target) = second else {
        return Err(format!(
            "must name the volume, as NAME:{first}: one without a name would be lost when the \
             container is replaced"
        ));
    };
    let mut read_only = false;
    for option in parts.flat_map(|part| part.split(',')) {
        let known = OPTIONS.iter().find(|(name, _)| *name == option);
        let (_, is_ro) = known.ok_or_else(|| {
            format!("must be SOURCE:TARGET or SOURCE:TARGET:ro; there is no option {option:?}")
        })?;
        read_only |= is_ro;
    }
    let is_path = first.starts_with(['/', '.', '~']);
    let (kind, source) = if is_path {
        ("bind", absolute(first, folder)?)
    } else if first.contains('/') {
        return Err(format!("must name a volume, or begin with ./ or / as a path: {first:?}"));
    } else {
        ("volume", first.to_owned())
    };
    Ok(mount(kind, source, target, read_only))
}

fn mount(kind: &str, source: String, target: &str, read_only: bool) -> v1::Mount {
    v1::Mount { kind: kind.to_owned(), source, target: target.to_owned(), read_only, size_bytes: 0 }
}

fn long(field: &Field<'_>, folder: &Path, report: &mut Report) -> Option<v1::Mount> {
    key::check(field, key::MOUNT, report);
    for (name, keys) in
        [("tmpfs", key::MOUNT_TMPFS), ("bind", key::MOUNT_BIND), ("volume", key::MOUNT_VOLUME)]
    {
        if let Some(options) = field.get(name) {
            key::check(&options, keys, report);
        }
    }
    let mut text = |key: &str| field.get(key).map(|it| it.text(report)).unwrap_or_default();
    let (kind, source, target) = (text("type"), text("source"), text("target"));
    let read_only = field.get("read_only").is_some_and(|it| it.flag(report));
    let source = match kind.as_str() {
        "bind" if source.is_empty() => {
            report.fault(field, "needs `source`, the folder of the host");
            return None;
        }
        "bind" => report.take(field, absolute(&source, folder))?,
        "volume" | "tmpfs" => source,
        kind => {
            report.fault(field, format!("`type` must be volume, bind or tmpfs, not {kind:?}"));
            return None;
        }
    };
    let size = field.get("tmpfs").and_then(|tmpfs| tmpfs.get("size"));
    let size_bytes = size.and_then(|size| size.read(report, units::bytes)).unwrap_or_default();
    Some(v1::Mount { size_bytes, ..mount(&kind, source, &target, read_only) })
}

/// Reads one item of `tmpfs`, such as `/tmp:size=64m`.
pub(super) fn tmpfs(field: &Field<'_>, report: &mut Report) -> Option<v1::Mount> {
    field.read(report, |text| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let mut mount = mount("tmpfs", String::new(), target, false);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", size)) => mount.size_bytes = units::bytes(size)?,
                // What we mount them with in any case, or what a user of its own needs.
                Some(("mode" | "uid" | "gid", _)) => {}
                None if matches!(option, "rw" | "noexec" | "nosuid" | "nodev") => {}
                _ => return Err(format!("must be TARGET or TARGET:size=64m; not {option:?}")),
            }
        }
        Ok(mount)
    })
}

/// An absolute path without `.` and `..`, as the server takes it.
pub(super) fn absolute(text: &str, folder: &Path) -> Result<String, String> {
    if text.starts_with('~') {
        return Err(format!("must be an absolute path or begin with ./, not {text:?}"));
    }
    let mut path = PathBuf::new();
    for part in folder.join(text).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path.into_os_string().into_string().map_err(|_| "must be a path in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        for (text, kind, source, read_only) in [
            ("data:/x", "volume", "data", false),
            ("data:/x:ro", "volume", "data", true),
            ("./conf:/x:ro,z", "bind", "/srv/app/conf", true),
            ("../conf:/x", "bind", "/srv/conf", false),
            ("/etc/app:/x:rw", "bind", "/etc/app", false),
            (".:/x", "bind", "/srv/app", false),
            ("../../../..:/x", "bind", "/", false),
        ] {
            let wanted = mount(kind, source.to_owned(), "/x", read_only);
            assert_eq!(short(text, Path::new("/srv/app")), Ok(wanted));
        }
        for text in ["/x", "data:/x:execute", "a/b:/x", "~/x:/x"] {
            assert!(short(text, Path::new("/srv/app")).is_err(), "{text}");
        }
    }
}
