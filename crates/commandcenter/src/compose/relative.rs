//! Relative paths of a file that is extended begin at its own folder. Pure.

use std::path::Path;

use super::yaml::{Node, Value};

/// Makes the relative paths of `services` begin where those of `file` do.
pub(super) fn rebase(services: &mut Node, file: &Path) {
    let folder = file.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() {
        return;
    }
    let file = |text: &str| folder.join(text).display().to_string();
    // The short form of a mount tells paths from names by how they begin.
    let source = |text: &str| {
        let is_path = text.starts_with('.');
        let path = folder.join(text);
        let dot = if path.is_absolute() { "" } else { "./" };
        if is_path { format!("{dot}{}", path.display()) } else { text.to_owned() }
    };
    let Value::Map(services) = &mut services.value else { return };
    for service in services {
        let service = &mut service.value;
        each(service.get_mut("env_file"), |item| {
            text(Some(&mut *item), file);
            text(item.get_mut("path"), file);
        });
        each(service.get_mut("volumes"), |item| {
            text(Some(&mut *item), source);
            if matches!(item.get("type").map(|it| &it.value), Some(Value::Text(it)) if it == "bind")
            {
                text(item.get_mut("source"), file);
            }
        });
        text(service.get_mut("extends").and_then(|extends| extends.get_mut("file")), file);
    }
}

/// Changes every item of a list, or the one that stands in its place.
fn each(node: Option<&mut Node>, mut change: impl FnMut(&mut Node)) {
    match node {
        Some(Node { value: Value::List(items), .. }) => items.iter_mut().for_each(change),
        Some(node) => change(node),
        None => {}
    }
}

/// Changes a text.
fn text(node: Option<&mut Node>, change: impl Fn(&str) -> String) {
    if let Some(Node { value: Value::Text(text), .. }) = node {
        *text = change(text);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::yaml::load, *};

    #[test]
    fn paths_begin_at_the_folder_of_their_file() {
        let yaml = |folder: &str, bind: &str| {
            format!(
                "a:\n  env_file: {folder}a.env\n  extends: {{file: {folder}b.yaml, service: b}}\n\
                 b:\n  env_file: [{folder}a.env, {{path: {folder}b.env}}, /etc/c.env]\n  volumes:\n  \
                 - {bind}./data:/d\n  - data:/e\n  - /srv/x:/f\n  - {{type: bind, source: \
                 {folder}./g, target: /g}}\n  - {{type: volume, source: h, target: /h}}\n"
            )
        };
        for (file, folder, bind) in [
            ("base.yaml", "", ""),
            ("common/base.yaml", "common/", "./common/"),
            ("../base.yaml", "../", "./../"),
            ("/srv/app/base.yaml", "/srv/app/", "/srv/app/"),
        ] {
            let mut services = load(&yaml("", ""), 0).expect("YAML");
            rebase(&mut services, Path::new(file));
            assert_eq!(services, load(&yaml(folder, bind), 0).expect("YAML"), "{file}");
        }
    }
}
