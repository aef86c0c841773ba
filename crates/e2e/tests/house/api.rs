//! `docs/API.md` names every route, call, subject and reason there is, and nothing else.

use std::{collections::BTreeSet, fs};

use prost::Message as _;
use proto::Reason;
use serde_json::Value;

/// A row of a table: under which headings it stands, and its cells without code marks.
struct Row {
    section: String,
    heading: String,
    cells: Vec<String>,
}

/// The rows of the page's tables, without their heads.
fn rows() -> Vec<Row> {
    let path = super::root().join("docs/API.md");
    let page = fs::read_to_string(path).expect("docs/API.md");
    let (mut section, mut heading) = (String::new(), String::new());
    let mut rows = Vec::new();
    let mut in_body = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            (section, heading) = (title.to_owned(), String::new());
        } else if let Some(title) = line.strip_prefix("### ") {
            title.clone_into(&mut heading);
        }
        let Some(inner) = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            in_body = false;
            continue;
        };
        if in_body {
            let cells = inner.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            rows.push(Row { section: section.clone(), heading: heading.clone(), cells });
        }
        // The line below a table's head.
        in_body |= inner.starts_with("---");
    }
    rows
}

/// What the page says in the tables of a section, each row told by `say`.
fn said(section: &str, say: impl Fn(&Row) -> String) -> Vec<String> {
    rows().iter().filter(|row| row.section == section).map(say).collect()
}

/// The first cells of a row, side by side.
fn first(row: &Row, cells: usize) -> String {
    row.cells[..cells].join(" ")
}

/// Both sides must name the same, each once.
fn compare(what: &str, said: Vec<String>, real: Vec<String>) {
    assert!(!real.is_empty(), "the code's {what} were not found");
    let names: BTreeSet<&String> = said.iter().collect();
    assert_eq!(names.len(), said.len(), "docs/API.md names some of the {what} twice");
    let real: BTreeSet<&String> = real.iter().collect();
    let missing: Vec<_> = real.difference(&names).collect();
    let superfluous: Vec<_> = names.difference(&real).collect();
    assert!(
        missing.is_empty() && superfluous.is_empty(),
        "docs/API.md and the {what} differ; missing: {missing:#?}, superfluous: {superfluous:#?}"
    );
}

/// The role that an operation's description names.
fn role(operation: &Value) -> &'static str {
    let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
    let text = text("summary") + &text("description");
    match () {
        () if text.contains("Administrators") => "admin",
        () if text.contains("Operators") => "operator",
        () => "viewer",
    }
}

#[test]
fn the_api_page_names_every_route_with_its_role() {
    let document = serde_json::to_value(hub::openapi()).expect("JSON");
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            routes.push(format!("{} {path} {}", method.to_uppercase(), role(operation)));
        }
    }
    compare("routes", said("REST", |row| first(row, 2)), routes);
}

#[test]
fn the_api_page_names_every_call() {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).expect("descriptors");
    let mut calls = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                calls.push(format!("{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    compare("calls", said("gRPC", |row| format!("{}/{}", row.heading, row.cells[0])), calls);
    for role in said("gRPC", |row| row.cells[1].clone()) {
        assert!(role.parse::<chassis::caller::Role>().is_ok(), "there is no role {role:?}");
    }
}

#[test]
fn the_api_page_names_every_subject_with_its_payload() {
    const DECLARATION: &str = "const KIND: &'static str = \"";
    let facts = bus::subject::FACTS.iter().map(|(subject, payload)| format!("{subject} {payload}"));
    let sources = super::files::sources();
    let kinds = sources
        .iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "src"))
        .flat_map(|(_, text)| text.split(DECLARATION).skip(1))
        .filter_map(|rest| rest.split('"').next());
    let tickets = kinds.map(|kind| format!("{} job id", bus::subject::job_requested(kind)));
    compare("subjects", said("Bus", |row| first(row, 2)), facts.chain(tickets).collect());
}

#[test]
fn the_api_page_names_every_reason_with_its_codes() {
    let reasons = Reason::ALL.iter().map(|reason| {
        let code = format!("{:?}", reason.grpc_code());
        format!("{reason} {} {}", reason.http_status().as_u16(), code.to_uppercase())
    });
    // The page spells the codes as gRPC does; the crate's names have no underscores.
    let said = said("Refusals", |row| {
        format!("{} {} {}", row.cells[0], row.cells[1], row.cells[2].replace('_', ""))
    });
    compare("reasons", said, reasons.collect());
}
