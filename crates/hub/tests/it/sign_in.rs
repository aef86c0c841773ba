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
    let config = hub::Config { secure_cookies: true, ..hub::Config::default() };
    let stand = Stand::configured(config).await;
    let password = std::fs::read_to_string(stand.folder.path().join("admin.password")).unwrap();
    let answer = stand.sign_in("admin", password.trim()).await.expect(303);
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookie = cookies.filter_map(|c| c.to_str().ok()).find(|c| c.starts_with("__Host-"));
    assert!(cookie.expect("it is guarded by its prefix").contains("Secure"));
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
