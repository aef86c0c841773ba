//! `/api/docs`: the OpenAPI document as a page, without a script.

use std::{collections::BTreeMap, sync::OnceLock};

use askama::Template;
use axum::{
    http::{HeaderMap, header},
    response::Response,
};
use proto::Reason;
use serde_json::Value;

use super::frame::{Frame, Visit};
use crate::{error, routes::api};

/// The document as the page shows it.
struct Docs {
    description: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
    reasons: Vec<ReasonDocs>,
}

struct Group {
    name: String,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Field>,
    body: Option<String>,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    schema: Option<String>,
}

struct Schema {
    name: String,
    description: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    required: bool,
    description: String,
}

struct ReasonDocs {
    code: &'static str,
    status: u16,
    title: &'static str,
}

#[derive(Template)]
#[template(path = "api_docs.html")]
struct Page {
    frame: Frame,
    docs: &'static Docs,
    origin: String,
}

pub(super) async fn show(visit: Visit, headers: HeaderMap) -> Response {
    static DOCS: OnceLock<Docs> = OnceLock::new();
    let docs = DOCS.get_or_init(|| {
        let document = serde_json::to_value(api::document()).unwrap_or_default();
        Docs::read(&document)
    });
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = format!("http://{}", host.unwrap_or("127.0.0.1:8080"));
    visit.page(&Page { frame: visit.frame("REST API", "docs"), docs, origin })
}

impl Docs {
    fn read(document: &Value) -> Self {
        let reasons = Reason::ALL.iter().map(|reason| ReasonDocs {
            code: reason.as_str(),
            status: reason.http_status().as_u16(),
            title: error::title(*reason),
        });
        let schemas = entries(&document["components"]["schemas"]);
        Self {
            description: text(&document["info"]["description"]),
            groups: groups(document),
            schemas: schemas.map(|(name, schema)| Schema::read(name, schema)).collect(),
            reasons: reasons.collect(),
        }
    }
}

fn groups(document: &Value) -> Vec<Group> {
    let mut groups: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for (path, item) in entries(&document["paths"]) {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                let tag = text(&operation["tags"][0]);
                groups.entry(tag).or_default().push(Endpoint::read(method, path, operation));
            }
        }
    }
    groups.into_iter().map(|(name, endpoints)| Group { name, endpoints }).collect()
}

impl Endpoint {
    fn read(method: &str, path: &str, operation: &Value) -> Self {
        let summary = ["summary", "description"]
            .map(|key| text(&operation[key]))
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            summary,
            parameters: parameters
                .map(|parameter| Field {
                    name: text(&parameter["name"]),
                    kind: kind(&parameter["schema"]),
                    required: parameter["required"] == true,
                    description: text(&parameter["description"]),
                })
                .collect(),
            body: schema_of(&operation["requestBody"]),
            answers: entries(&operation["responses"])
                .map(|(status, answer)| Answer {
                    status: status.to_owned(),
                    schema: schema_of(answer),
                })
                .collect(),
        }
    }
}

impl Schema {
    fn read(name: &str, schema: &Value) -> Self {
        // A type that embeds another one, or is one of several, lists them all.
        let parts = ["allOf", "oneOf", "anyOf"]
            .into_iter()
            .filter_map(|key| schema[key].as_array())
            .flatten()
            .chain([schema]);
        let fields = parts.flat_map(fields).collect();
        Self { name: name.to_owned(), description: text(&schema["description"]), fields }
    }
}

fn fields(schema: &Value) -> Vec<Field> {
    if let Some(name) = reference(schema) {
        let (kind, name) = (name.clone(), "…".to_owned());
        return vec![Field { name, kind, required: false, description: String::new() }];
    }
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name))
    };
    entries(&schema["properties"])
        .map(|(name, property)| Field {
            name: name.to_owned(),
            kind: kind(property),
            required: required(name),
            description: text(&property["description"]),
        })
        .collect()
}

/// A type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return name;
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[key].as_array() {
            let named = parts.iter().map(kind).filter(|kind| kind != "null");
            return named.collect::<Vec<_>>().join(" or ");
        }
    }
    let kind_of_items = || format!("{} list", kind(&schema["items"]));
    match &schema["type"] {
        Value::String(name) if name == "array" => kind_of_items(),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            if names == ["array"] { kind_of_items() } else { names.join(" or ") }
        }
        _ => "any".to_owned(),
    }
}

/// The schema of a body's content, by name.
fn schema_of(body: &Value) -> Option<String> {
    let (_, content) = entries(&body["content"]).next()?;
    reference(&content["schema"])
}

fn reference(schema: &Value) -> Option<String> {
    Some(schema["$ref"].as_str()?.rsplit('/').next()?.to_owned())
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_route_and_every_type_it_names() {
        let document = serde_json::to_value(api::document()).unwrap();
        let docs = Docs::read(&document);
        let shown: usize = docs.groups.iter().map(|group| group.endpoints.len()).sum();
        let listed: usize =
            entries(&document["paths"]).map(|(_, item)| entries(item).count()).sum();
        assert_eq!(shown, listed);
        let names: Vec<&str> = docs.schemas.iter().map(|schema| schema.name.as_str()).collect();
        for endpoint in docs.groups.iter().flat_map(|group| &group.endpoints) {
            let answers = endpoint.answers.iter().filter_map(|answer| answer.schema.as_ref());
            for named in endpoint.body.iter().chain(answers) {
                assert!(names.contains(&named.as_str()), "{} names {named}", endpoint.path);
            }
        }
    }
}
