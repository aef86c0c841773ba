//! The client of OpenAI-compatible servers, against servers that answer well and badly.

use std::time::Duration;

use knowledge::config;
use knowledge::embed::openai::OpenAi;
use knowledge::embed::{Embedder, Error, Kind, probe};
use serde_json::{Value, json};
use testkit::{Body, Request, Response, Site};

const PATH: &str = "/v1/embeddings";
const TOKEN: &str = "a-token-nobody-may-see";

fn config(base: &str) -> config::OpenAi {
    config::OpenAi {
        url: base.into(),
        model: "tiny".into(),
        dimensions: 3,
        token: TOKEN.to_owned().into(),
        query_prefix: "query: ".into(),
        timeout_s: 1,
        ..config::OpenAi::default()
    }
}

fn client(site: &Site) -> OpenAi {
    OpenAi::new(&config(&site.url("/v1"))).unwrap()
}

fn inputs(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    serde_json::from_value(body["input"].clone()).unwrap()
}

/// A vector that tells the text it belongs to by its length.
fn item(index: usize, text: &str) -> Value {
    json!({ "object": "embedding", "index": index, "embedding": [text.len(), 1.0, 0.0] })
}

fn answer(items: &[Value]) -> Response {
    Response::ok(json!({ "object": "list", "data": items, "model": "tiny" }).to_string())
}

/// What a good server answers, in reverse order.
fn good(request: &Request) -> Response {
    let items: Vec<_> = inputs(request).iter().enumerate().map(|(i, t)| item(i, t)).rev().collect();
    answer(&items)
}

async fn served(response: Response) -> Error {
    let site = Site::start().await;
    site.serve(PATH, response);
    let error = client(&site).embed(Kind::Document, &["a", "bc"]).await.unwrap_err();
    assert!(!format!("{error:?}").contains(TOKEN));
    error
}

#[tokio::test]
async fn vectors_come_normalised_in_the_order_of_the_texts_and_in_bounded_batches() {
    let site = Site::start().await;
    site.answer(PATH, good);
    let texts: Vec<String> = (0..150).map(|n| "x".repeat(n + 1)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = client(&site).embed(Kind::Document, &texts).await.unwrap();
    assert_eq!(vectors.len(), 150);
    for (text, vector) in texts.iter().zip(vectors) {
        assert!((vector[0] / vector[1] - text.len() as f32).abs() < 1e-2);
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let counts: Vec<usize> = site.requests().iter().map(|r| inputs(r).len()).collect();
    assert_eq!(counts, [64, 64, 22]);
}

#[tokio::test]
async fn a_request_says_what_the_protocol_asks_for() {
    let site = Site::start().await;
    site.answer(PATH, good);
    let client = client(&site);
    probe(&client).await.unwrap();
    client.embed(Kind::Query, &["wing"]).await.unwrap();
    let requests = site.requests_for(PATH);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(requests[1].header("authorization"), Some(bearer.as_str()));
    let body: Value = serde_json::from_slice(&requests[1].body).unwrap();
    let expected = json!({ "model": "tiny", "input": ["query: wing"], "encoding_format": "float" });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_server_that_takes_fewer_texts_gets_fewer() {
    let site = Site::start().await;
    site.answer(PATH, |request| {
        let inputs = inputs(request);
        match inputs.len() {
            0..=3 if inputs.iter().any(|text| text.len() > 100) => Response::status(413),
            0..=3 => good(request),
            _ => Response::status(422),
        }
    });
    let client = client(&site);
    let texts = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"];
    let vectors = client.embed(Kind::Document, &texts).await.unwrap();
    assert!(vectors.windows(2).all(|pair| pair[0][0] < pair[1][0]));

    let long = "x".repeat(101);
    let error = client.embed(Kind::Document, &["a", "b", "c", "d", &long]).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { index: 4, .. }), "{error}");
}

#[tokio::test]
async fn overload_and_failure_are_transient_and_keep_the_wait() {
    let check = async |response: Response, expect: Option<u64>| {
        let error = served(response).await;
        let Error::Transient { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expect.map(Duration::from_secs));
    };
    check(Response::status(429).header("retry-after", "7"), Some(7)).await;
    check(Response::status(503).header("retry-after", "2"), Some(2)).await;
    check(Response::status(429), None).await;
    check(Response::status(500), None).await;
    check(Response::status(502), None).await;
    check(Response::of(Body::Broken("{\"data\": [".into())), None).await;
    check(Response::of(Body::Silence), None).await;
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let port = testkit::free_port();
    let client = OpenAi::new(&config(&format!("http://127.0.0.1:{port}/v1"))).unwrap();
    let error = client.embed(Kind::Query, &["a"]).await.unwrap_err();
    assert!(matches!(error, Error::Transient { .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_and_wrong_answers_are_permanent_and_say_why() {
    let check = async |response: Response, words: &str| {
        let error = served(response).await;
        assert!(matches!(error, Error::Permanent { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(Response::status(401), "token").await;
    check(Response::status(404), "address and model").await;
    check(Response::redirect("http://elsewhere.invalid/"), "302").await;
    check(Response::ok("<html>"), "embeddings server").await;
    check(Response::endless("[".repeat(1 << 16)), "bytes").await;
    check(answer(&[item(0, "a")]), "1 vectors for 2 texts").await;
    check(answer(&[item(0, "a"), item(0, "a")]), "index 0").await;
    check(answer(&[item(0, "a"), item(2, "a")]), "index 2").await;
    let with = |embedding: &str| {
        let item = |index| format!(r#"{{"index": {index}, "embedding": {embedding}}}"#);
        Response::ok(format!(r#"{{"data": [{}, {}]}}"#, item(0), item(1)))
    };
    check(with("[1, 2]"), "2 components per vector but is configured for 3").await;
    check(with("[1, 2, null]"), "embeddings server").await;
    check(with("[1, 2, NaN]"), "embeddings server").await;
    check(with("[1, 2, 1e39]"), "finite").await;
    check(with("[0, 0, 0]"), "direction").await;
}
