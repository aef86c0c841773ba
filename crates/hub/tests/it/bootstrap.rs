//! The first administrator and the services' tokens.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use sqlx::Row as _;

use crate::stand::Stand;

#[tokio::test]
async fn the_first_administrator_finds_token_and_password_in_private_files() {
    let stand = Stand::start().await;
    for name in ["admin.token", "admin.password"] {
        let file = std::fs::metadata(stand.folder.path().join(name)).expect("it was written");
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let me = stand.get(&stand.admin, "/api/me").await.expect(200).json();
    assert_eq!(me["role"], "admin");
    assert_eq!(me["all_projects"], true);
    stand.admin_browser().await.get("/").await.expect(200);
}

#[tokio::test]
async fn only_hashes_lie_in_the_database() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let token = stand.token("viewer", &["p"]).await;
    let browser = stand.admin_browser().await;
    let password = std::fs::read_to_string(stand.folder.path().join("admin.password"));
    let secrets = [&stand.admin, &token, &browser.cookie, password.expect("it was written").trim()]
        .map(str::to_owned);
    for table in ["api_token", "session", "app_user", "audit", "project"] {
        let query = format!("SELECT t::text AS line FROM hub.{table} AS t");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&stand.pool).await;
        for row in rows.expect("the table is there") {
            let line: String = row.get("line");
            for secret in &secrets {
                let hex = hex::encode(secret);
                assert!(!line.contains(secret) && !line.contains(&hex), "{table}: {line}");
            }
        }
    }
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM hub.app_user LIMIT 1")
        .fetch_one(&stand.pool)
        .await
        .expect("there is a user");
    assert!(hash.starts_with("$argon2id$"));
}

#[tokio::test]
async fn a_service_is_known_by_the_token_in_its_file() {
    let stand = Stand::start().await;
    let role: (String, String) = sqlx::query_as("SELECT name, role FROM hub.verify_token($1)")
        .bind(chassis::auth::TokenHash::of("cct_of-the-hub").0.as_slice())
        .fetch_one(&stand.pool)
        .await
        .expect("it is known");
    assert_eq!(role, ("service:hub".to_owned(), "service".to_owned()));
    let listed = stand.get(&stand.admin, "/api/tokens").await.expect(200).text;
    assert!(!listed.contains("service:hub"), "people do not see services' tokens");
}

#[tokio::test]
async fn a_revoked_or_expired_token_stops_working() {
    let stand = Stand::start().await;
    let made = stand
        .post(
            &stand.admin,
            "/api/tokens",
            &json!({ "name": "ci", "role": "viewer", "all_projects": true }),
        )
        .await
        .expect(201)
        .json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    stand.get(token, "/api/me").await.expect(200);
    let path = format!("/api/tokens/{id}");
    stand.send(&stand.admin, reqwest::Method::DELETE, &path, &json!({})).await.expect(204);
    stand.get(token, "/api/me").await.expect(401);
    stand.send(&stand.admin, reqwest::Method::DELETE, &path, &json!({})).await.expect(404);

    let expiring = stand.token("viewer", &[]).await;
    sqlx::query(
        "UPDATE hub.api_token SET expires_at = now() WHERE revoked_at IS NULL AND role = 'viewer'",
    )
    .execute(&stand.pool)
    .await
    .expect("it expires");
    stand.get(&expiring, "/api/me").await.expect(401);
}
