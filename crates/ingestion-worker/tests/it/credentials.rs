//! Credentials: each kind opens its site, none is told to another one, none is shown.

use proto::Failure;
use proto::ingestion::v1::credential::{ApiKey, Basic, Kind};
use proto::ingestion::v1::{Credential, UpdateSourceRequest};
use testkit::{Auth, Response, Site};

use crate::polling::rss;
use crate::world::World;

fn credential(kind: Kind) -> Option<Credential> {
    Some(Credential { kind: Some(kind) })
}

fn bearer(token: &str) -> Option<Credential> {
    credential(Kind::Bearer(token.to_owned()))
}

#[tokio::test]
async fn each_kind_opens_its_site() {
    let world = World::start().await;
    let basic = Auth::Basic { user: "ann".into(), password: "s3cret:ü".into() };
    let api_key = Auth::ApiKey { header: "x-api-key".into(), value: "k-123".into() };
    let table = [
        (
            "/basic",
            basic,
            Kind::Basic(Basic { username: "ann".into(), password: "s3cret:ü".into() }),
            "basic",
        ),
        ("/bearer", Auth::Bearer("t0ken".into()), Kind::Bearer("t0ken".into()), "bearer"),
        (
            "/key",
            api_key,
            Kind::ApiKey(ApiKey { header: "X-Api-Key".into(), value: "k-123".into() }),
            "api_key",
        ),
    ];
    for (path, auth, kind, shown) in table {
        world.site.serve(path, rss(&[("1", path, "text")]).guarded_by(auth));
        let mut request = world.feed(path);
        request.credential = credential(kind);
        let source = world.create(request).await.expect("a good feed");
        assert_eq!(source.credential, shown);
        assert_eq!(world.run(&source.id).await.state, "done", "{path}");
        world.knowledge.document(path).await;
    }
    let sealed: Vec<Vec<u8>> = sqlx::query_scalar("SELECT credential FROM ingestion.source")
        .fetch_all(&world.pool)
        .await
        .expect("rows");
    for sealed in sealed {
        let text = String::from_utf8_lossy(&sealed);
        assert!(!["s3cret", "t0ken", "k-123"].iter().any(|it| text.contains(it)));
    }
}

#[tokio::test]
async fn a_wrong_credential_is_told_apart_and_a_new_one_helps() {
    let world = World::start().await;
    world
        .site
        .serve("/feed", rss(&[("1", "First", "one")]).guarded_by(Auth::Bearer("good".into())));
    let mut request = world.feed("/feed");
    request.credential = bearer("bad");
    let source = world.create(request).await.expect("a good feed");
    let run = world.run(&source.id).await;
    assert!(run.error.contains("401") && run.error.contains("credential"), "{run:?}");
    assert!(!run.error.contains("bad"), "{run:?}");
    let edit = UpdateSourceRequest {
        id: source.id.clone(),
        credential: bearer("good"),
        ..UpdateSourceRequest::default()
    };
    world.sources("operator").update_source(edit).await.expect("edited");
    assert_eq!(world.run(&source.id).await.state, "done");
    let edit = UpdateSourceRequest {
        id: source.id.clone(),
        clear_credential: true,
        ..UpdateSourceRequest::default()
    };
    let edited = world.sources("operator").update_source(edit).await.expect("edited").into_inner();
    assert_eq!(edited.credential, "none");
    assert!(world.run(&source.id).await.error.contains("401"));
}

#[tokio::test]
async fn no_other_host_hears_of_it() {
    let world = World::start().await;
    let other = Site::start_at("127.0.0.2".parse().expect("an address")).await;
    let own = "<rss version=\"2.0\"><channel><title>B</title>\
        <item><guid>1</guid><title>Theirs</title><link>OTHER/article</link></item>\
        <item><guid>2</guid><title>Ours</title><link>OWN/article</link></item></channel></rss>";
    let feed = own.replace("OTHER", &other.url).replace("OWN", &world.site.url);
    other.serve("/feed", Response::ok(feed.clone()));
    let article = Response::ok("<html><body><article><p>Words, words.</p></article></body></html>")
        .content_type("text/html");
    other.serve("/article", article.clone());
    let guard = Auth::Bearer("s3cret".into());
    world.site.serve("/article", article.guarded_by(guard.clone()));
    world.site.serve("/feed", Response::ok(feed).guarded_by(guard));
    world.site.serve("/moved", Response::redirect(&other.url("/feed")));
    for path in ["/feed", "/moved"] {
        let mut request = world.feed(path);
        request.credential = bearer("s3cret");
        let source = world.create(request).await.expect("a good feed");
        assert_eq!(world.run(&source.id).await.state, "done");
        assert_eq!(world.settled().await, []);
    }
    assert!(other.requests().len() >= 3);
    assert!(other.requests().iter().all(|it| it.header("authorization").is_none()));
    let ours = world.site.requests_for("/article");
    assert!(!ours.is_empty() && ours.iter().all(|it| it.header("authorization").is_some()));
}

#[tokio::test]
async fn a_credential_does_not_move_to_another_site_with_the_url() {
    let world = World::start().await;
    let other = Site::start_at("127.0.0.2".parse().expect("an address")).await;
    other.serve("/feed", rss(&[("1", "Theirs", "one")]));
    let mut request = world.feed("/feed");
    request.credential = bearer("s3cret");
    let source = world.create(request).await.expect("a good feed");
    let move_to = |url: String, credential: Option<Credential>, clear_credential: bool| {
        let mut sources = world.sources("operator");
        let id = source.id.clone();
        let url = Some(url);
        let edit = UpdateSourceRequest {
            id,
            url,
            credential,
            clear_credential,
            ..UpdateSourceRequest::default()
        };
        async move {
            let edited = sources.update_source(edit).await;
            edited.map(|it| it.into_inner().credential).map_err(|it| Failure::from_status(&it))
        }
    };
    let refused = move_to(other.url("/feed"), None, false).await.expect_err("another site");
    assert_eq!(refused.violations[0].field, "credential", "{refused}");
    assert!(refused.message.contains("127.0.0.2"), "{refused}");
    let within = move_to(world.site.url("/moved"), None, false).await;
    assert_eq!(within.expect("the same site"), "bearer");
    let anew = move_to(other.url("/feed"), bearer("theirs"), false).await;
    assert_eq!(anew.expect("a new one"), "bearer");
    let without = move_to(world.site.url("/feed"), None, true).await;
    assert_eq!(without.expect("without one"), "none");
}

#[tokio::test]
async fn another_credential_asks_for_the_whole_body_again() {
    let world = World::start().await;
    world.site.serve("/feed", rss(&[("1", "First", "one")]).etag("\"v1\""));
    let source = world.add("/feed").await;
    world.run(&source.id).await;
    let edit = UpdateSourceRequest {
        id: source.id.clone(),
        credential: bearer("new"),
        ..UpdateSourceRequest::default()
    };
    world.sources("operator").update_source(edit).await.expect("edited");
    let run = world.run(&source.id).await;
    assert!(!run.not_modified && run.unchanged == 1, "{run:?}");
    assert_eq!(world.site.requests_for("/feed")[1].header("if-none-match"), None);
}
