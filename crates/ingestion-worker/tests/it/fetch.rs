//! The safe client against servers that misbehave and addresses that must not be reached.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ingestion_worker::fetch::{
    Class, Client, Config, Credential, Deadline, Error, Outcome, Page, Request, Resolver,
    SystemResolver, Validators,
};
use testkit::{Response, Site};
use url::Url;

/// A client that may reach this machine.
fn client(config: Config) -> Client {
    let allow_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    Client::new(Config { allow_networks, ..config }).expect("TLS can be set up")
}

fn request(url: &str) -> Request {
    Request::new(Url::parse(url).expect("an address"))
}

async fn page(client: &Client, url: &str) -> Page {
    match client.get(&request(url)).await {
        Ok(Outcome::Fetched(page)) => page,
        other => panic!("{url}: {other:?}"),
    }
}

async fn error(client: &Client, url: &str) -> Error {
    match client.get(&request(url)).await {
        Err(error) => error,
        Ok(outcome) => panic!("{url}: {outcome:?}"),
    }
}

#[tokio::test]
async fn fetches_with_what_the_next_request_needs() {
    let site = Site::start().await;
    let response = Response::ok("<rss/>").content_type("text/xml; charset=utf-8");
    let response = response.etag("\"v1\"").last_modified("Wed, 31 Dec 2003 10:00:00 GMT");
    site.serve("/feed", response);
    let page = page(&client(Config::default()), &site.url("/feed")).await;
    assert_eq!(page.body, b"<rss/>");
    assert_eq!(page.content_type.as_deref(), Some("text/xml; charset=utf-8"));
    let expected = Validators {
        etag: Some("\"v1\"".into()),
        last_modified: Some("Wed, 31 Dec 2003 10:00:00 GMT".into()),
    };
    assert_eq!(page.validators, expected);
    let asked = &site.requests_for("/feed")[0];
    assert!(asked.header("user-agent").is_some_and(|name| name.starts_with("CommandCenter/")));
}

#[tokio::test]
async fn an_unchanged_page_costs_no_body() {
    let site = Site::start().await;
    site.answer("/feed", |request| match request.header("if-none-match") {
        Some("W/\"v1\"") => Response::status(304).etag("W/\"v1\""),
        _ => Response::ok(vec![b'x'; 100_000]).etag("W/\"v1\""),
    });
    let mut again = request(&site.url("/feed"));
    again.etag = Some("W/\"v1\"".into());
    again.last_modified = Some("Wed, 31 Dec 2003 10:00:00 GMT".into());
    let outcome = client(Config::default()).get(&again).await.expect("the site answers");
    assert!(matches!(outcome, Outcome::NotModified), "{outcome:?}");
    let asked = &site.requests_for("/feed")[0];
    assert_eq!(asked.header("if-modified-since"), Some("Wed, 31 Dec 2003 10:00:00 GMT"));
    assert_eq!(asked.bytes_sent(), 0);
    site.serve("/stuck", Response::status(304));
    let stuck = error(&client(Config::default()), &site.url("/stuck")).await;
    assert!(matches!(stuck, Error::Status { .. }), "nothing is at hand: {stuck:?}");
    assert_eq!(stuck.class(), Class::Permanent);
}

#[tokio::test]
async fn decompresses_and_counts_both_sides() {
    let site = Site::start().await;
    site.serve("/small", Response::ok("hello ".repeat(50_000)).gzip());
    site.serve("/bomb", Response::gzip_bomb(100 * 1024 * 1024));
    let client = client(Config::default());
    assert_eq!(page(&client, &site.url("/small")).await.body.len(), 300_000);
    let bomb = error(&client, &site.url("/bomb")).await;
    assert!(matches!(bomb, Error::Bomb { limit_ratio: 100, .. }), "{bomb:?}");
    assert_eq!(bomb.class(), Class::Permanent);
}

#[tokio::test]
async fn stops_at_the_size_and_at_the_deadline() {
    let site = Site::start().await;
    site.serve("/large", Response::ok(vec![b'x'; 20_000]));
    site.serve("/endless", Response::endless("x".repeat(1000)));
    let small = client(Config { body_bytes_max: 10_000, ..Config::default() });
    for path in ["/large", "/endless"] {
        let error = error(&small, &site.url(path)).await;
        assert!(matches!(error, Error::TooLarge { limit_bytes: 10_000, .. }), "{error:?}");
        assert!(error.to_string().contains("fetch.body_bytes_max"));
    }
    let total_timeout_ms = 300;
    let quick =
        client(Config { total_timeout_ms, body_bytes_max: usize::MAX, ..Config::default() });
    let started = Instant::now();
    let late = error(&quick, &site.url("/endless")).await;
    assert!(matches!(late, Error::Timeout { deadline: Deadline::Total, .. }), "{late:?}");
    assert_eq!(late.class(), Class::Transient);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn follows_redirects_up_to_the_limit() {
    let site = Site::start().await;
    site.serve("/old", Response::status(301).header("location", "/moved"));
    site.serve("/moved", Response::status(308).header("location", "new?x=1#top"));
    site.serve("/new", Response::ok("here"));
    site.serve("/loop", Response::redirect("/loop"));
    let client = client(Config::default());
    let page = page(&client, &site.url("/old")).await;
    assert_eq!(page.body, b"here");
    assert!(page.url.as_str().starts_with(&site.url("/new?x=1")));
    let error = error(&client, &site.url("/loop")).await;
    assert!(matches!(error, Error::TooManyRedirects { limit: 5, .. }), "{error:?}");
    assert_eq!(site.requests_for("/loop").len(), 6);
}

#[tokio::test]
async fn classes_follow_the_status() {
    let site = Site::start().await;
    let wait = Some(Duration::from_secs(120));
    for (status, retry_after, class) in [
        (404, None, Class::Permanent),
        (401, None, Class::Permanent),
        (410, None, Class::Permanent),
        (500, None, Class::Transient),
        (503, None, Class::Transient),
        (503, Some("120"), Class::RateLimited { retry_after: wait }),
        (429, Some("120"), Class::RateLimited { retry_after: wait }),
        (429, None, Class::RateLimited { retry_after: None }),
    ] {
        let mut response = Response::status(status);
        if let Some(value) = retry_after {
            response = response.header("retry-after", value);
        }
        site.serve("/status", response);
        let error = error(&client(Config::default()), &site.url("/status?key=secret")).await;
        assert_eq!(error.class(), class, "{status}");
        assert!(error.to_string().contains(&status.to_string()));
        assert!(!error.to_string().contains("secret"), "the query may hold a key: {error}");
    }
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let own = Site::start().await;
    let other = Site::start_at(Ipv4Addr::new(127, 0, 0, 2).into()).await;
    own.serve("/direct", Response::ok("ok"));
    own.serve("/within", Response::redirect("/direct"));
    own.serve("/away", Response::redirect(&other.url("/caught")));
    other.serve("/caught", Response::redirect(&own.url("/back")));
    own.serve("/back", Response::ok("ok"));
    let secret = || "hunter2".into();
    let key = Credential::header("X-Api-Key", secret()).expect("a good header");
    let basic = Credential::Basic { username: "me".into(), password: secret() };
    for (credential, header, value) in [
        (basic, "authorization", "Basic bWU6aHVudGVyMg=="),
        (Credential::Bearer(secret()), "authorization", "Bearer hunter2"),
        (key, "x-api-key", "hunter2"),
    ] {
        own.forget_requests();
        other.forget_requests();
        for path in ["/within", "/away"] {
            let mut request = request(&own.url(path));
            request.credential = Some(credential.clone());
            client(Config::default()).get(&request).await.expect("the sites answer");
        }
        for path in ["/within", "/direct", "/away"] {
            assert_eq!(own.requests_for(path)[0].header(header), Some(value), "{path}");
        }
        assert_eq!(other.requests_for("/caught")[0].header(header), None);
        assert_eq!(own.requests_for("/back")[0].header(header), None, "dropped for good");
    }
}

/// Answers each look-up with the next of its addresses, the last one for ever.
#[derive(Debug)]
struct Scripted {
    addresses: Mutex<VecDeque<IpAddr>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(addresses: &[&str]) -> Arc<Self> {
        let parse = |address: &&str| address.parse().expect("an address");
        let addresses = Mutex::new(addresses.iter().map(parse).collect());
        Arc::new(Self { addresses, asked: AtomicUsize::new(0) })
    }
}

impl Resolver for Scripted {
    fn resolve<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut addresses = self.addresses.lock().expect("no test panics while it holds this");
        let next = match addresses.len() {
            1 => addresses.front().copied(),
            _ => addresses.pop_front(),
        };
        Box::pin(async move { Ok(Vec::from_iter(next)) })
    }
}

/// A listener that nobody may connect to.
struct Forbidden(TcpListener);

impl Forbidden {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("the address is ours");
        listener.set_nonblocking(true).expect("it can be polled");
        Self(listener)
    }

    fn assert_untouched(&self) {
        let refused = self.0.accept().expect_err("somebody connected");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn no_spelling_of_a_private_address_connects() {
    let listener = Forbidden::at("127.0.0.1:0");
    let port = listener.0.local_addr().expect("it is bound").port();
    // Every name leads to this machine.
    let resolver = Scripted::new(&["127.0.0.1"]);
    let closed =
        Client::with_resolver(Config::default(), resolver.clone()).expect("TLS can be set up");
    // One network is allowed, so that names at other ports are resolved before they are refused.
    let allow_networks = vec!["192.0.2.0/24".parse().expect("a network")];
    let config = Config { allow_networks, ..Config::default() };
    let ajar = Client::with_resolver(config, resolver.clone()).expect("TLS can be set up");
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.000.000.001",
        "0",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "%6cocalhost",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "ⓛocalhost",
        "bücher.example",
        "127.0.0.1.nip.io",
        "user@127.0.0.1",
        "user:password@127.0.0.1",
        "example.org@127.0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "192.0.0.192",
        "[fc00::1]",
        "[ff02::1]",
    ];
    let mut urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
    urls.extend(hosts.iter().map(|host| format!("http://{host}/")));
    urls.extend(hosts.iter().map(|host| format!("https://{host}/")));
    for scheme in ["file:///etc/passwd", "gopher://127.0.0.1:80/", "ftp://127.0.0.1/"] {
        urls.push(scheme.to_owned());
    }
    let mut tried = 0;
    for url in &urls {
        // What does not even parse reaches nothing.
        let Ok(parsed) = Url::parse(url) else { continue };
        tried += 1;
        for client in [&closed, &ajar] {
            let refused = client.get(&Request::new(parsed.clone())).await.expect_err(url);
            let is_refusal = matches!(
                refused,
                Error::AddressForbidden { .. }
                    | Error::PortForbidden { .. }
                    | Error::InvalidUrl { .. }
            );
            assert!(is_refusal, "{url}: {refused:?}");
            assert_eq!(refused.class(), Class::Permanent);
        }
    }
    assert!(tried >= 40, "{tried}");
    let names = urls.iter().filter_map(|url| Url::parse(url).ok()).filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.domain().is_some()
    });
    let at_the_listener = names.filter(|url| url.port() == Some(port)).count();
    assert!(at_the_listener > 0);
    let asked = resolver.asked.load(Ordering::Relaxed);
    assert!(asked >= at_the_listener, "{asked} look-ups for {at_the_listener} names");
    listener.assert_untouched();
}

#[tokio::test]
async fn names_and_redirects_lead_to_no_private_address() {
    let site = Site::start_at(Ipv4Addr::new(127, 0, 0, 2).into()).await;
    let site_url = Url::parse(&site.url("/")).expect("the site has a URL");
    let port = site_url.port().expect("the site's port is its own");
    let listener = Forbidden::at(&format!("127.0.0.1:{port}"));
    let allow_networks = vec!["127.0.0.2/32".parse().expect("a network")];
    let config = Config { allow_networks, ..Config::default() };
    let with =
        |resolver| Client::with_resolver(config.clone(), resolver).expect("TLS can be set up");

    // A name of a private address.
    let inside = with(Scripted::new(&["127.0.0.1"]));
    for url in [format!("http://inside.example:{port}/"), "http://inside.example/".to_owned()] {
        let refused = error(&inside, &url).await;
        assert!(matches!(refused, Error::AddressForbidden { .. }), "{refused:?}");
        let remedy = "fetch.allow_networks (COMMANDCENTER__FETCH__ALLOW_NETWORKS=127.0.0.1/32)";
        assert!(refused.to_string().contains(remedy), "{refused}");
    }

    // A redirect to one, by address and by name.
    site.serve("/out", Response::redirect(&format!("http://127.0.0.1:{port}/")));
    site.serve("/file", Response::redirect("file:///etc/passwd"));
    let direct = with(Arc::new(SystemResolver));
    for path in ["/out", "/file"] {
        let refused = error(&direct, &site.url(path)).await;
        assert!(matches!(refused, Error::RedirectRefused { .. }), "{refused:?}");
    }

    // A name that moves between two requests, and within one.
    let url = format!("http://rebind.example:{port}/again");
    let close = Response::redirect("/again").header("connection", "close");
    site.serve("/again", close);
    let moving = with(Scripted::new(&["127.0.0.2", "127.0.0.1"]));
    let refused = error(&moving, &url).await;
    assert!(matches!(refused, Error::RedirectRefused { .. }), "{refused:?}");
    assert!(error(&moving, &url).await.class() == Class::Permanent);
    assert_eq!(site.requests_for("/again").len(), 1);
    listener.assert_untouched();
}

#[tokio::test]
async fn another_port_of_a_public_host_is_refused_by_name_too() {
    let allow_networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let config = Config { allow_networks, ..Config::default() };
    let client = Client::with_resolver(config, Scripted::new(&["93.184.215.14"]));
    let refused = error(&client.expect("TLS can be set up"), "http://public.example:22/").await;
    assert!(matches!(refused, Error::PortForbidden { port: 22, .. }), "{refused:?}");
}

#[tokio::test]
async fn unreachable_and_untrusted_servers_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("the address is ours");
    let address = closed.local_addr().expect("it is bound");
    drop(closed);
    let client = client(Config::default());
    let gone = error(&client, &format!("http://{address}/")).await;
    assert!(matches!(gone, Error::Transport { .. }), "{gone:?}");
    assert_eq!(gone.class(), Class::Transient);

    let site = Site::start().await;
    let plain = error(&client, &site.url("/").replace("http://", "https://")).await;
    assert!(matches!(plain, Error::Tls { .. }), "{plain:?}");

    let unknown = error(&client, "http://no-such-host.invalid/").await;
    assert!(matches!(unknown, Error::Dns { .. }), "{unknown:?}");
    assert_eq!(unknown.class(), Class::Transient);
}
