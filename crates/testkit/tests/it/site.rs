//! A site that serves what a test tells it to.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Client, StatusCode, redirect};
use testkit::{Auth, Body, Response, Site};

fn client() -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    client.build().expect("a client can be built")
}

#[tokio::test]
async fn serves_and_records() {
    let site = Site::start().await;
    site.serve("/feed", Response::ok("<rss/>").content_type("application/rss+xml"));
    let response = client().post(site.url("/feed?a=1")).body("ping").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/rss+xml");
    assert_eq!(response.text().await.unwrap(), "<rss/>");
    let requests = site.requests_for("/feed");
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].query.as_str(), &requests[0].body[..]), ("a=1", &b"ping"[..]));
    assert_eq!(requests[0].bytes_sent(), 6);
    let missing = client().get(site.url("/nothing")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn answers_a_known_etag_without_a_body() {
    let site = Site::start().await;
    site.serve("/feed", Response::ok("body").etag("\"1\""));
    let request = client().get(site.url("/feed")).header("if-none-match", "\"1\"");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    assert_eq!(site.requests()[0].bytes_sent(), 0);
    let request = client().get(site.url("/feed")).header("if-none-match", "\"0\"");
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "body");
}

#[tokio::test]
async fn refuses_whoever_lacks_the_credential() {
    let site = Site::start().await;
    let basic = Auth::Basic { user: "u".to_owned(), password: "p".to_owned() };
    site.serve("/basic", Response::ok("in").guarded_by(basic));
    site.serve("/bearer", Response::ok("in").guarded_by(Auth::Bearer("t".to_owned())));
    let key = Auth::ApiKey { header: "x-key".to_owned(), value: "k".to_owned() };
    site.serve("/key", Response::ok("in").guarded_by(key));
    let client = client();
    for path in ["/basic", "/bearer", "/key"] {
        let bare = client.get(site.url(path)).send().await.unwrap();
        assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "{path}");
        let request = client.get(site.url(path));
        let request = match path {
            "/basic" => request.basic_auth("u", Some("p")),
            "/bearer" => request.bearer_auth("t"),
            _ => request.header("x-key", "k"),
        };
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn serves_each_response_once_and_the_last_for_ever() {
    let site = Site::start().await;
    let busy = Response::status(429).header("retry-after", "1");
    site.serve_each("/", [busy, Response::ok("first"), Response::ok("rest")]);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = client().get(site.url("/")).send().await.unwrap();
        statuses.push((response.status().as_u16(), response.text().await.unwrap()));
    }
    let expected = [(429, ""), (200, "first"), (200, "rest"), (200, "rest")];
    assert_eq!(statuses, expected.map(|(status, text)| (status, text.to_owned())));
}

#[tokio::test]
async fn misbehaves_on_demand() {
    let site = Site::start().await;
    site.serve("/redirect", Response::redirect("http://10.0.0.1/"));
    site.serve("/endless", Response::endless(vec![b'x'; 4096]));
    site.serve("/bomb", Response::gzip_bomb(10 << 20));
    site.serve("/zip", Response::ok("hello").gzip());
    site.serve("/broken", Response::of(Body::Broken("half".into())));
    site.serve("/silence", Response::of(Body::Silence));
    let client = client();

    let response = client.get(site.url("/redirect")).send().await.unwrap();
    assert_eq!(response.headers()["location"], "http://10.0.0.1/");
    let response = client.get(site.url("/endless")).send().await.unwrap();
    let first: Vec<_> = response.bytes_stream().take(1000).collect().await;
    assert!(
        first.iter().all(Result::is_ok) && site.requests_for("/endless")[0].bytes_sent() > 4096
    );
    let bomb = client.get(site.url("/bomb")).send().await.unwrap();
    assert_eq!(bomb.bytes().await.unwrap().len(), 10 << 20);
    assert!(site.requests_for("/bomb")[0].bytes_sent() < 20_000);
    assert_eq!(client.get(site.url("/zip")).send().await.unwrap().text().await.unwrap(), "hello");
    let broken = client.get(site.url("/broken")).send().await.unwrap();
    assert!(broken.bytes().await.is_err());
    let silence = client.get(site.url("/silence")).timeout(Duration::from_millis(200)).send();
    assert!(silence.await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn dribbles_a_slow_body() {
    let site = Site::start().await;
    let pause = Duration::from_millis(30);
    site.serve("/", Response::of(Body::Slow { bytes: "abcdef".into(), chunk_bytes: 2, pause }));
    let before = std::time::Instant::now();
    let response = client().get(site.url("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "abcdef");
    assert!(before.elapsed() >= 3 * pause);
}
