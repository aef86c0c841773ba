//! `ports`: short and long forms, and ranges.

use proto::orchestrator::v1;

use super::{
    field::Field,
    key,
    report::Report,
    yaml::{Node, Value},
};

/// Ports of one range.
const RANGE_MAX: u32 = 100;

const FORMS: &str = "must be CONTAINER, HOST:CONTAINER or IP:HOST:CONTAINER, each optionally with \
                     /udp, such as 8080:80";

/// Reads one item, which is several ports when it is a range.
pub(super) fn read(field: &Field<'_>, report: &mut Report) -> Vec<v1::Port> {
    if field.is_map() {
        return long(field, report);
    }
    field.read(report, short).unwrap_or_default()
}

fn long(field: &Field<'_>, report: &mut Report) -> Vec<v1::Port> {
    key::check(field, key::PORT, report);
    let Some(target) = field.get("target") else {
        report.fault(field, "needs `target`, the port inside");
        return Vec::new();
    };
    let mut text = |key: &str| field.get(key).map(|it| it.text(report)).unwrap_or_default();
    let (host, host_ip, protocol) = (text("published"), text("host_ip"), text("protocol"));
    let ports = target.read(report, |container| ranges(&host, container));
    let ports = ports.unwrap_or_default().into_iter();
    ports
        .map(|(host, container)| v1::Port {
            container,
            host,
            host_ip: host_ip.clone(),
            protocol: protocol.clone(),
        })
        .collect()
}

fn short(text: &str) -> Result<Vec<v1::Port>, String> {
    let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let (rest, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    // An address of IPv6 stands in brackets.
    let (host_ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (ip.trim_matches(['[', ']']), host),
        None if rest.contains('.') => (rest, ""),
        None => ("", rest),
    };
    let port = |(host, container)| v1::Port {
        container,
        host,
        host_ip: host_ip.to_owned(),
        protocol: protocol.to_owned(),
    };
    Ok(ranges(host, container)?.into_iter().map(port).collect())
}

/// What makes one port the same as another, however it is written.
pub(super) fn identity(item: &Node) -> String {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let field = |name: &str| item.get(name).map(text).unwrap_or_default();
    let short_form = match &item.value {
        Value::Text(text) => text.clone(),
        _ => {
            let host_ip = field("host_ip");
            let host_ip = if host_ip.is_empty() { host_ip } else { format!("[{host_ip}]:") };
            let protocol = field("protocol");
            let protocol = if protocol.is_empty() { "tcp" } else { &protocol };
            format!("{host_ip}{}:{}/{protocol}", field("published"), field("target"))
        }
    };
    let Ok(ports) = short(&short_form) else { return short_form };
    let one =
        |it: &v1::Port| format!("{} {} {} {}", it.host_ip, it.host, it.container, it.protocol);
    ports.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Ports of the host, 0 when they are free to choose, with those of the container.
fn ranges(host: &str, container: &str) -> Result<Vec<(u32, u32)>, String> {
    let (first, last) = range(container)?;
    if host.is_empty() {
        return Ok((first..=last).map(|container| (0, container)).collect());
    }
    let (host_first, host_last) = range(host)?;
    if host_last - host_first != last - first {
        return Err(format!(
            "must map as many ports as there are: {host} is not as long as {container}"
        ));
    }
    Ok((host_first..=host_last).zip(first..=last).collect())
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && is_number(text));
    let port = |text: &str| port(text).map(u32::from);
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        return Err(format!("{FORMS}; {text:?} is no port from 1 to 65535"));
    };
    if first > last || last - first >= RANGE_MAX {
        return Err(format!("must be a range of at most {RANGE_MAX} ports, not {text:?}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        for (text, wanted) in [
            ("80", vec![(0, 80, "", "tcp")]),
            ("8080:80", vec![(8080, 80, "", "tcp")]),
            ("53:5353/udp", vec![(53, 5353, "", "udp")]),
            ("127.0.0.1:8080:80", vec![(8080, 80, "127.0.0.1", "tcp")]),
            ("127.0.0.1::80", vec![(0, 80, "127.0.0.1", "tcp")]),
            ("[::1]:8080:80", vec![(8080, 80, "::1", "tcp")]),
            ("3000-3001:80-81", vec![(3000, 80, "", "tcp"), (3001, 81, "", "tcp")]),
        ] {
            let ports = short(text).expect(text);
            let found: Vec<_> = ports
                .iter()
                .map(|it| (it.host, it.container, it.host_ip.as_str(), it.protocol.as_str()))
                .collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn wrong_ports() {
        for (text, message) in [
            ("", "no port"),
            ("http", "no port"),
            ("+80:80", "no port"),
            ("99999:80", "\"99999\" is no port"),
            ("0:80", "\"0\" is no port"),
            ("80:", "no port"),
            ("8080:80:tcp", "no port"),
            ("1-2:80", "as many ports"),
            ("90-80", "a range"),
            ("1-65535", "a range"),
        ] {
            let error = short(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
