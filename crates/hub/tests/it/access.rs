//! An outsider gets nothing: every route of the OpenAPI document and every page, for everyone who
//! may not.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stand::{Stand, send};

/// Writes that read: what is asked is too long for a URL.
const READING_POSTS: [&str; 2] = ["/api/knowledge/search", "/api/projects/{id}/stack/diff"];

/// Things of project `mine`, to fill the paths with.
struct Things {
    project: String,
    source: String,
    document: String,
    job: String,
    operation: String,
}

impl Things {
    async fn make(stand: &Stand) -> Self {
        let project = stand.project("mine").await;
        Self {
            source: stand.feed("mine", "the shibboleth feed").await,
            document: stand.document(&project, "the shibboleth document"),
            job: crate::jobs::dead_job(stand, &project, "the shibboleth job").await,
            operation: stand.fake.has_stack(&project),
            project,
        }
    }

    /// A path of the document with the thing that it names.
    fn fill(&self, path: &str) -> String {
        let thing = match path.split('/').nth(2) {
            Some("projects") => &self.project,
            Some("sources") => &self.source,
            Some("knowledge") => &self.document,
            Some("jobs") => &self.job,
            _ => "018f0000-0000-7000-8000-000000000000",
        };
        let query = if path == "/api/knowledge/search" { "?q=x" } else { "" };
        let path = path.replace("{id}", thing).replace("{operation}", &self.operation);
        path.replace("{service}", "web").replace("{name}", "password") + query
    }
}

async fn operations(stand: &Stand) -> Vec<(Method, String)> {
    let document = stand.get(&stand.admin, "/api/openapi.json").await.expect(200).json();
    assert_eq!(document["openapi"].as_str().unwrap_or_default().split('.').next(), Some("3"));
    let paths = document["paths"].as_object().expect("it has paths").clone();
    let methods = |item: &Value| item.as_object().expect("an item").keys().cloned().collect();
    let mut operations = Vec::new();
    for (path, item) in &paths {
        let methods: Vec<String> = methods(item);
        for method in methods {
            operations.push((method.to_uppercase().parse().expect("a method"), path.clone()));
        }
    }
    operations
}

/// A body that every write would accept as far as it is checked before the caller is.
fn body(path: &str) -> Value {
    match path {
        "/api/projects" => json!({ "slug": "new" }),
        "/api/sources" => {
            json!({ "project": "mine", "kind": "feed", "url": "https://b.example/f" })
        }
        "/api/sources/test" => json!({ "kind": "feed", "url": "https://b.example/f" }),
        "/api/knowledge/documents" => json!({ "project": "mine", "text": "x" }),
        "/api/knowledge/search" => json!({ "q": "x", "project": ["mine"] }),
        "/api/users" => json!({
            "name": "x", "password": "0123456789", "role": "viewer", "all_projects": true,
        }),
        "/api/tokens" => json!({ "name": "x", "role": "viewer", "all_projects": true }),
        "/api/projects/{id}/stack" | "/api/projects/{id}/stack/diff" => {
            json!({ "spec": { "services": [{ "name": "web", "image": "web:2" }] } })
        }
        "/api/projects/{id}/secrets/{name}" => json!({ "value": "eA==" }),
        "/api/dead-letters/retry" | "/api/dead-letters/discard" => json!({ "project": "mine" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn without_a_valid_token_every_route_refuses() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    let operations = operations(&stand).await;
    assert!(operations.len() > 35, "{operations:?}");
    for (method, path) in operations {
        let filled = things.fill(&path);
        for token in [None, Some("cct_wrong"), Some("")] {
            let mut request = stand.request(method.clone(), &filled).json(&body(&path));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {token:?}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.json()["code"], "UNAUTHENTICATED");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    for path in ["/api/nothing", "/api/jobs/x/y/z"] {
        send(stand.request(Method::GET, path)).await.expect(401);
    }
}

#[tokio::test]
async fn a_token_of_another_project_sees_and_changes_nothing() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    stand.project("other").await;
    let token = stand.token("admin", &["other"]).await;
    for (method, path) in operations(&stand).await {
        if path.ends_with("/events") && !path.contains("{id}") {
            continue; // It never ends; `streams` looks at it.
        }
        let request = stand.request(method.clone(), &things.fill(&path)).json(&body(&path));
        let answer = send(request.bearer_auth(&token)).await;
        let leaks = ["shibboleth", things.project.as_str()]
            .iter()
            .any(|it| answer.status.is_success() && answer.text.contains(it));
        assert!(!leaks, "{method} {path}: {}", answer.text);
        let named = path.contains("{id}") || body(&path).get("project").is_some();
        if named && (method != Method::GET || path.contains("{id}")) {
            let refused = matches!(answer.status.as_u16(), 403 | 404);
            assert!(refused, "{method} {path}: {} {}", answer.status, answer.text);
        }
    }
    let kept = stand.get(&stand.admin, &format!("/api/sources/{}", things.source)).await;
    assert_eq!(kept.expect(200).json()["priority"], 5);
    let job = stand.get(&stand.admin, &format!("/api/jobs/{}", things.job)).await;
    assert_eq!(job.expect(200).json()["state"], "dead");
}

#[tokio::test]
async fn a_viewer_reads_and_never_writes() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    let viewer = stand.token("viewer", &[]).await;
    for (method, path) in operations(&stand).await {
        if path.ends_with("/events") {
            continue;
        }
        let request = stand.request(method.clone(), &things.fill(&path)).json(&body(&path));
        let answer = send(request.bearer_auth(&viewer)).await;
        let for_admins = ["/api/users", "/api/tokens", "/api/audit"];
        let reads = method == Method::GET || READING_POSTS.contains(&path.as_str());
        if reads && !for_admins.contains(&path.as_str()) {
            let readable = answer.status.is_success() || path.contains("schedules");
            assert!(readable, "{method} {path}: {} {}", answer.status, answer.text);
        } else {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.text);
            assert_eq!(answer.json()["code"], "FORBIDDEN");
        }
    }
    let calls = stand.fake.0.calls.lock().unwrap().clone();
    let reads = ["get_", "list_", "search", "count_", "diff_", "preview_"];
    let wrote = calls.iter().find(|(it, _)| !reads.iter().any(|reads| it.starts_with(reads)));
    let by_admin = ["create_source"];
    assert!(wrote.is_none_or(|(method, _)| by_admin.contains(method)), "{calls:?}");
}

#[tokio::test]
async fn a_services_token_is_no_administrators() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    let service = "cct_of-the-hub";
    let for_admins = ["users", "tokens", "audit"];
    for (method, path) in operations(&stand).await {
        let thing = path.split('/').nth(2).unwrap_or_default();
        if for_admins.contains(&thing) || (path == "/api/projects/{id}" && method == Method::DELETE)
        {
            let request = stand.request(method.clone(), &things.fill(&path)).json(&body(&path));
            let answer = send(request.bearer_auth(service)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.text);
        }
    }
    stand.get(service, "/api/sources").await.expect(200);
}

#[tokio::test]
async fn a_session_writes_over_rest_only_with_its_csrf_secret() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    let browser = stand.admin_browser().await;
    for (method, path) in operations(&stand).await {
        if method == Method::GET {
            continue;
        }
        for csrf in [None, Some("0000")] {
            let mut request = browser.request(method.clone(), &things.fill(&path));
            request = request.json(&body(&path));
            if let Some(csrf) = csrf {
                request = request.header("x-csrf-token", csrf);
            }
            send(request).await.expect(403);
        }
    }
    let request = browser.request(Method::POST, "/api/projects").json(&json!({ "slug": "new" }));
    send(request.header("x-csrf-token", &browser.csrf)).await.expect(201);
}

/// (path, methods) of every page, read from the list itself so that none is forgotten.
fn pages() -> Vec<(String, Vec<Method>)> {
    let list = include_str!("../../src/routes/pages.rs");
    let routes = list.split(".route(").skip(1).map(|route| {
        let path = route.split('"').nth(1).expect("a route has a path").to_owned();
        let route = route.split(".route(").next().unwrap_or_default();
        let methods = [("get(", Method::GET), ("post(", Method::POST)];
        let methods = methods.into_iter().filter(|(call, _)| route.contains(call));
        (path, methods.map(|(_, method)| method).collect())
    });
    routes.filter(|(path, _): &(String, _)| path != "/sign-in").collect()
}

fn filled(path: &str) -> String {
    let id = "018f0000-0000-7000-8000-000000000000";
    let path = path.replace("{id}", id).replace("{act}", "run").replace("{action}", "retry");
    path.replace("{slug}", "mine").replace("{service}", "web").replace("{name}", "password")
}

#[tokio::test]
async fn no_page_opens_without_a_session() {
    let stand = Stand::start().await;
    let pages = pages();
    assert!(pages.len() > 25, "{pages:?}");
    for (path, methods) in pages {
        for method in methods {
            let request = stand.request(method.clone(), &filled(&path)).bearer_auth(&stand.admin);
            let answer = send(request.header("cookie", "cc_session=ccs_forged")).await;
            if method == Method::GET {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
                assert!(answer.header("location").starts_with("/sign-in"), "{path}");
            } else {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_forged_form_changes_nothing() {
    let stand = Stand::start().await;
    let browser = stand.admin_browser().await;
    let other = stand.browser("admin", &[]).await;
    for (path, methods) in pages() {
        if !methods.contains(&Method::POST) {
            continue;
        }
        for csrf in ["", "0000", &other.csrf] {
            let fields = [("slug", "forged"), ("theme", "dark"), ("csrf", csrf)];
            let request = browser.request(Method::POST, &filled(&path)).form(&fields);
            send(request).await.expect(403);
        }
    }
    stand.get(&stand.admin, "/api/projects/forged").await.expect(404);
    browser.get("/help").await.expect(200);
}

#[tokio::test]
async fn a_viewer_is_offered_no_change_and_refused_one() {
    let stand = Stand::start().await;
    let things = Things::make(&stand).await;
    let browser = stand.browser("viewer", &[]).await;
    for path in ["/sources", "/projects", "/dead-letters"] {
        let page = browser.get(path).await.expect(200).text;
        let forms = page.matches("method=\"post\"").count();
        assert_eq!(forms, 2, "{path} offers more than the theme and signing out");
    }
    let scoped = stand.browser("operator", &["mine"]).await;
    assert!(!scoped.get("/projects").await.expect(200).text.contains("New project"));
    for path in ["/users", "/tokens", "/audit", "/sources/new"] {
        browser.get(path).await.expect(403);
    }
    let path = format!("/sources/{}/delete", things.source);
    browser.submit(&path, &[("confirm", "the shibboleth feed")]).await.expect(303);
    browser.submit("/users", &[("name", "eve"), ("role", "admin")]).await.expect(403);
    stand.get(&stand.admin, &format!("/api/sources/{}", things.source)).await.expect(200);
}

#[tokio::test]
async fn every_answer_forbids_what_pages_do_not_need() {
    let stand = Stand::start().await;
    for path in ["/sign-in", "/assets/app.css", "/api/status", "/nothing"] {
        let answer = send(stand.request(Method::GET, path)).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.header("cache-control").is_empty());
    }
}
