//! Users and tokens.

use reqwest::Method;
use serde_json::json;

use testkit::eventually;

use crate::stand::{PATIENCE, Stand};

#[tokio::test]
async fn a_user_is_made_changed_and_removed() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let user =
        json!({ "name": "Ann", "password": "correct horse", "role": "viewer", "projects": ["p"] });
    let ann = stand.post(&stand.admin, "/api/users", &user).await.expect(201).json();
    assert_eq!(ann["projects"], json!(["p"]));
    let taken = json!({
        "name": "ANN", "password": "correct horse", "role": "viewer", "all_projects": true,
    });
    let taken = stand.post(&stand.admin, "/api/users", &taken).await.expect(409).json();
    assert_eq!(taken["errors"][0]["field"], "name");

    let path = format!("/api/users/{}", ann["id"].as_str().unwrap());
    let change = json!({ "role": "operator", "all_projects": true });
    let changed = stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(200).json();
    assert_eq!(changed["role"], "operator");
    assert_eq!(changed["all_projects"], true);
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    assert_eq!(audit["items"][0]["before"]["role"], "viewer");
    assert!(!audit.to_string().contains("correct horse"));
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(204);
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(404);
}

#[tokio::test]
async fn losing_the_last_project_never_gives_all_of_them() {
    let stand = Stand::start().await;
    stand.project("x").await;
    let user = json!({ "name": "Ann", "password": "correct horse", "role": "operator", "projects": ["x"] });
    let ann = stand.post(&stand.admin, "/api/users", &user).await.expect(201).json();
    let id = ann["id"].as_str().unwrap();
    stand.send(&stand.admin, Method::DELETE, "/api/projects/x", &json!({})).await.expect(202);
    let reached = || async {
        let users = stand.get(&stand.admin, "/api/users").await.expect(200).json();
        let ann = users["items"].as_array().unwrap().iter().find(|user| user["id"] == id).cloned();
        ann.map(|ann| (ann["all_projects"].clone(), ann["projects"].clone())).unwrap()
    };
    let none = (json!(false), json!([]));
    eventually(PATIENCE, || async {
        let now = reached().await;
        if now == none { Ok(()) } else { Err(now) }
    })
    .await;
    // What the page sends when an administrator opens it and saves it as it is.
    let browser = stand.admin_browser().await;
    let page = browser.get(&format!("/users/{id}")).await.expect(200).text;
    assert!(page.contains("value=\"false\" required checked"), "{page}");
    let fields = [("role", "viewer"), ("all_projects", "false"), ("password", "")];
    browser.submit(&format!("/users/{id}"), &fields).await.expect(303);
    assert_eq!(reached().await, none);
    // The same for a form that says nothing of projects, and over REST.
    browser.submit(&format!("/users/{id}"), &fields[..1]).await.expect(303);
    assert_eq!(reached().await, none);
    let change = json!({ "projects": [] });
    let path = format!("/api/users/{id}");
    stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(200);
    assert_eq!(reached().await, none);
    assert!(browser.get("/users").await.expect(200).text.contains("<td>none</td>"));
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let stand = Stand::start().await;
    let users = stand.get(&stand.admin, "/api/users").await.expect(200).json();
    let path = format!("/api/users/{}", users["items"][0]["id"].as_str().unwrap());
    let change = json!({ "role": "viewer" });
    stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(409);
    let refused = stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("last administrator"));
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let stand = Stand::start().await;
    let browser = stand.browser("viewer", &[]).await;
    browser.get("/").await.expect(200);
    let users = stand.get(&stand.admin, "/api/users").await.expect(200).json();
    let user = users["items"].as_array().unwrap().iter().find(|user| user["role"] == "viewer");
    let path = format!("/api/users/{}", user.unwrap()["id"].as_str().unwrap());
    let change = json!({ "password": "another password" });
    stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(200);
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    assert_eq!(audit["items"][0]["after"], json!({ "password": "changed" }));
    browser.get("/").await.expect(303);
}

#[tokio::test]
async fn an_administrator_of_some_projects_cannot_make_one_of_all() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let scoped = stand.token("admin", &["p"]).await;
    let body = json!({ "name": "x", "role": "admin" });
    stand.post(&scoped, "/api/tokens", &body).await.expect(403);
    let body = json!({ "name": "x", "role": "admin", "password": "correct horse" });
    stand.post(&scoped, "/api/users", &body).await.expect(403);
}

#[tokio::test]
async fn the_page_shows_a_new_token_once() {
    let stand = Stand::start().await;
    let browser = stand.admin_browser().await;
    let fields =
        [("name", "ci"), ("role", "viewer"), ("all_projects", "true"), ("expires_in_days", "30")];
    let page = browser.submit("/tokens", &fields).await.expect(200).text;
    let start = page.find("cct_").expect("it is shown");
    let token = page[start..].split('<').next().unwrap().to_owned();
    stand.get(&token, "/api/me").await.expect(200);
    assert!(!browser.get("/tokens").await.expect(200).text.contains(&token));
    let fields = [("name", "ci"), ("role", "viewer"), ("expires_in_days", "soon")];
    let page = browser.submit("/tokens", &fields).await.expect(422).text;
    assert!(page.contains("expires_in_days-error"));
}
