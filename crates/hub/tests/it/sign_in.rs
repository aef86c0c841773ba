//! Signing in and out.

use reqwest::Method;

use crate::stand::{Stand, field, send};

#[tokio::test]
async fn a_user_signs_in_and_out() {
    let stand = Stand::start().await;
    let browser = stand.admin_browser().await;
    let page = browser.get("/").await.expect(200).text;
    assert!(page.contains("Sign out"));
    // The cookie is a token like any other until its session ends.
    stand.get(&browser.cookie, "/api/me").await.expect(200);
    let out = browser.submit("/sign-out", &[]).await.expect(303);
    assert_eq!(out.header("location"), "/sign-in");
    browser.get("/").await.expect(303);
    stand.get(&browser.cookie, "/api/me").await.expect(401);
}

#[tokio::test]
async fn the_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let stand = Stand::start().await;
    let password = std::fs::read_to_string(stand.folder.path().join("admin.password")).unwrap();
    let answer = stand.sign_in("ADMIN", password.trim()).await.expect(303);
    assert_eq!(answer.header("location"), "/");
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookie = cookies.filter_map(|c| c.to_str().ok()).find(|c| c.starts_with("cc_session="));
    let cookie = cookie.expect("there is a session");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn behind_tls_cookies_are_secure() {
    let stand = Stand::behind_tls(hub::Config::default()).await;
    let password = std::fs::read_to_string(stand.folder.path().join("admin.password")).unwrap();
    let answer = stand.sign_in("admin", password.trim()).await.expect(303);
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookie = cookies.filter_map(|c| c.to_str().ok()).find(|c| c.starts_with("__Host-"));
    assert!(cookie.expect("it is guarded by its prefix").contains("Secure"));
}

#[tokio::test]
async fn a_session_is_new_with_each_sign_in_and_ends_when_it_is_idle() {
    let stand = Stand::start().await;
    let (first, second) = (stand.admin_browser().await, stand.admin_browser().await);
    assert_ne!(first.cookie, second.cookie);
    let idle = async |hours: i32| {
        let update = "UPDATE hub.session SET idle_at = now() + make_interval(hours => $1)";
        sqlx::query(update).bind(hours).execute(&stand.pool).await.expect("it is set");
    };
    let hours_left = || async {
        let left = "SELECT extract(hours FROM max(idle_at) - now())::int FROM hub.session";
        sqlx::query_scalar::<_, i32>(left).fetch_one(&stand.pool).await.expect("there is one")
    };
    idle(1).await;
    first.get("/help").await.expect(200);
    assert_eq!(hours_left().await, 23, "using it puts the end off");
    idle(-1).await;
    first.get("/help").await.expect(303);
    // Services believe a session no longer than pages do.
    stand.get(&second.cookie, "/api/me").await.expect(401);
}

#[tokio::test]
async fn two_tabs_share_one_form_and_an_old_form_is_shown_again() {
    let stand = Stand::start().await;
    let first = send(stand.request(Method::GET, "/sign-in")).await.expect(200);
    let cookie = format!("cc_sign_in={}", first.cookie("cc_sign_in").expect("a secret"));
    let second = stand.request(Method::GET, "/sign-in").header("cookie", &cookie);
    let second = send(second).await.expect(200);
    assert_eq!(field(&first.text, "csrf"), field(&second.text, "csrf"));
    let fields = [("name", "admin"), ("password", "x"), ("csrf", "0")];
    let old = stand.request(Method::POST, "/sign-in").header("cookie", &cookie).form(&fields);
    let again = send(old).await.expect(403).text;
    assert!(again.contains("out of date") && again.contains("value=\"admin\""), "{again}");
    assert_eq!(field(&again, "csrf"), field(&first.text, "csrf"));
}

#[tokio::test]
async fn the_audit_log_knows_who_came_went_and_was_refused() {
    let stand = Stand::start().await;
    let browser = stand.admin_browser().await;
    browser.submit("/sign-out", &[]).await.expect(303);
    stand.sign_in("Admin", "wrong password").await.expect(401);
    stand.sign_in("hunter2 hunter2", "oh, the wrong field").await.expect(401);
    stand.sign_in(&"a".repeat(65), "wrong password").await.expect(401);
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200);
    assert!(!audit.text.contains("hunter2") && !audit.text.contains("aaaa"), "{}", audit.text);
    let entries = audit.json()["items"].as_array().unwrap().clone();
    let told = |entry: &serde_json::Value| {
        ["actor", "action", "object"].map(|key| entry[key].as_str().unwrap().to_owned()).join(" ")
    };
    assert_eq!(
        entries.iter().take(4).map(told).collect::<Vec<_>>(),
        [
            "127.0.0.1 session.refuse unknown name",
            "127.0.0.1 session.refuse admin",
            "admin session.delete admin",
            "admin session.create admin",
        ]
    );
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_attempts_of_its_own() {
    let config = hub::Config { sign_in_per_minute: 2, ..hub::Config::default() };
    let stand = Stand::behind_tls(config.clone()).await;
    let guess = |from: &'static str| stand.sign_in_through(from, "admin", "guess guess");
    for _ in 0..2 {
        guess("203.0.113.1").await.expect(401);
    }
    // Only the last entry is the proxy's; what is before it may be anything.
    guess("198.51.100.7, 203.0.113.1").await.expect(429);
    guess("203.0.113.1, 203.0.113.2").await.expect(401);
    let password = std::fs::read_to_string(stand.folder.path().join("admin.password")).unwrap();
    let admin = stand.sign_in_through("203.0.113.3", "admin", password.trim()).await;
    admin.expect(303);

    // Without a proxy in front the header proves nothing.
    let stand = Stand::configured(config).await;
    for from in ["203.0.113.1", "203.0.113.2"] {
        stand.sign_in_through(from, "admin", "guess guess").await.expect(401);
    }
    stand.sign_in_through("203.0.113.3", "admin", "guess guess").await.expect(429);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let stand = Stand::start().await;
    let user = stand.sign_in("admin", "wrong password").await.expect(401).text;
    let nobody = stand.sign_in("nobody", "wrong password").await.expect(401).text;
    let text = "the name or the password is wrong";
    assert!(user.contains(text) && nobody.contains(text));
    assert!(user.contains("value=\"admin\""), "the name stays in the form");
}

#[tokio::test]
async fn a_sign_in_form_of_another_site_is_refused() {
    let stand = Stand::start().await;
    let fields = [("name", "admin"), ("password", "x"), ("csrf", "0")];
    send(stand.request(Method::POST, "/sign-in").form(&fields)).await.expect(403);
    let with_cookie = stand.request(Method::POST, "/sign-in").header("cookie", "cc_sign_in=1");
    send(with_cookie.form(&fields)).await.expect(403);
}

#[tokio::test]
async fn guessing_is_slowed_per_name_and_address() {
    let config = hub::Config { sign_in_per_minute: 3, ..hub::Config::default() };
    let stand = Stand::configured(config).await;
    for _ in 0..3 {
        stand.sign_in("admin", "guess guess").await.expect(401);
    }
    let refused = stand.sign_in("admin", "guess guess").await.expect(429).text;
    assert!(refused.contains("too many attempts"), "{refused}");
    // The address is slowed as well, whatever name it tries.
    stand.sign_in("somebody", "guess guess").await.expect(429);
}

#[tokio::test]
async fn after_signing_in_the_page_that_was_asked_for_opens() {
    let stand = Stand::start().await;
    let asked = send(stand.request(Method::GET, "/jobs?state=dead")).await.expect(303);
    assert_eq!(asked.header("location"), "/sign-in?next=%2Fjobs%3Fstate%3Ddead");
    let form = send(stand.request(Method::GET, asked.header("location"))).await.expect(200);
    assert_eq!(field(&form.text, "next"), "/jobs?state=dead");
}
