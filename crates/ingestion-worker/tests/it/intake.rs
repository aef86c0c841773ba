//! Documents that someone hands over: durable before the answer, one by one.

use proto::Reason;
use proto::ingestion::v1::item_result::Outcome;
use proto::ingestion::v1::{Item, SubmitItemsRequest, SubmitItemsResponse};
use tonic::{Code, Status};

use crate::world::World;

fn item(external_id: &str, content: &[u8]) -> Item {
    Item { external_id: external_id.into(), content: content.into(), ..Item::default() }
}

async fn submit(world: &World, items: Vec<Item>) -> Result<SubmitItemsResponse, Status> {
    let request = SubmitItemsRequest {
        project_id: world.project.to_string(),
        items,
        ..SubmitItemsRequest::default()
    };
    world.intake().submit_items(request).await.map(tonic::Response::into_inner)
}

fn outcomes(answer: &SubmitItemsResponse) -> Vec<Outcome> {
    answer.results.iter().map(proto::ingestion::v1::ItemResult::outcome).collect()
}

#[tokio::test]
async fn handed_over_texts_become_documents() {
    let world = World::start().await;
    let page = b"<html><head><title>Page</title></head><body><script>alert(1)</script>\
                 <h1>Page</h1><p>Hello <b>you</b>.</p></body></html>";
    let items = vec![
        item("docs/guide.md", b"---\ntags: [rust]\n---\n# Guide\n\nText.\n"),
        item("notes.txt", b"caf\xE9 au lait"),
        item("page.html", page),
    ];
    let answer = submit(&world, items).await.expect("taken");
    assert_eq!(outcomes(&answer), [Outcome::Accepted; 3]);
    assert!(answer.results.iter().all(|it| !it.job_id.is_empty()));
    assert_eq!(world.settled().await, []);
    let guide = world.knowledge.document("Guide").await;
    assert_eq!(
        (guide.external_id.as_str(), guide.source_name.as_str()),
        ("docs/guide.md", "manual")
    );
    assert_eq!((guide.tags, guide.source_kind.as_str()), (vec!["rust".to_owned()], "manual"));
    assert!(!guide.text.contains("tags:"));
    assert!(world.knowledge.document("notes").await.text.starts_with("caf"));
    let page = world.knowledge.document("Page").await;
    assert!(page.text.contains("Hello **you**.") && !page.text.contains("alert"), "{}", page.text);
    let source = world.get(&answer.source_id).await;
    assert_eq!((source.kind.as_str(), source.name.as_str()), ("manual", "manual"));
}

#[tokio::test]
async fn one_bad_item_does_not_lose_the_others() {
    let world = World::start().await;
    let items = vec![
        item("large.md", &vec![b'x'; 8 * 1024 * 1024 + 1]),
        item("nul.md", b"a\0b"),
        item("photo.png", b"\x89PNG"),
        item("empty.md", b""),
        item("good.md", b"# Good"),
    ];
    let answer = submit(&world, items).await.expect("answered");
    let reasons: Vec<&str> = answer.results.iter().map(|it| it.reason.as_str()).collect();
    let unreadable = Reason::Unreadable.as_str();
    assert_eq!(reasons, ["TOO_LARGE", unreadable, unreadable, unreadable, ""]);
    assert!(answer.results[0].message.contains("8388608"), "{}", answer.results[0].message);
    assert!(answer.results[1].message.contains("NUL"), "{}", answer.results[1].message);
    assert!(answer.results[2].message.contains("text/markdown"), "{}", answer.results[2].message);
    assert_eq!(answer.results[4].outcome(), Outcome::Accepted);
    world.knowledge.document("Good").await;
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn the_same_again_is_unchanged_and_an_edit_is_a_revision() {
    let world = World::start().await;
    submit(&world, vec![item("a.md", b"# A\none")]).await.expect("taken");
    world.settled().await;
    let again = submit(&world, vec![item("a.md", b"# A\none")]).await.expect("taken");
    assert_eq!(outcomes(&again), [Outcome::Unchanged]);
    assert!(again.results[0].job_id.is_empty());
    assert_eq!(world.knowledge.submitted().len(), 1);
    let edited = vec![item("a.md", b"# A\ntwo"), item("a.md", b"# A\nthree")];
    let edited = submit(&world, edited).await.expect("taken");
    assert_eq!(outcomes(&edited), [Outcome::Accepted; 2]);
    assert_eq!(world.settled().await, []);
    assert_eq!(world.knowledge.holds(1).await[0].text.trim(), "# A\nthree", "the last one counts");
    let request = SubmitItemsRequest {
        project_id: world.project.to_string(),
        items: vec![item("a.md", b"# A\nthree")],
        force: true,
        ..SubmitItemsRequest::default()
    };
    let forced = world.intake().submit_items(request).await.expect("taken").into_inner();
    assert_eq!(outcomes(&forced), [Outcome::Accepted]);
}

#[tokio::test]
async fn what_waits_is_there_although_the_receiver_is_away() {
    let mut world = World::start().await;
    let closed = world.knowledge.close_gate().await;
    submit(&world, vec![item("a.md", b"# A")]).await.expect("durable");
    drop(closed);
    world.kill_worker().await;
    world.start_worker().await;
    world.knowledge.document("A").await;
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn requests_out_of_bounds_are_refused_as_a_whole() {
    let world = World::start().await;
    let many = (0..101).map(|n| item(&format!("{n}.md"), b"text")).collect();
    let refused = submit(&world, many).await.expect_err("too many");
    assert!(refused.message().contains("100 items"), "{refused}");
    let half = vec![b'x'; 6 * 1024 * 1024];
    let large = ["a.md", "b.md", "c.md"].map(|id| item(id, &half)).to_vec();
    let refused = submit(&world, large).await.expect_err("too large");
    assert!(refused.message().contains("16777216 bytes"), "{refused}");
    assert_eq!(submit(&world, vec![]).await.expect_err("nothing").code(), Code::InvalidArgument);

    let feed = world.add("/feed").await;
    let request = SubmitItemsRequest {
        project_id: world.project.to_string(),
        source_name: feed.name,
        items: vec![item("a.md", b"text")],
        ..SubmitItemsRequest::default()
    };
    let refused = world.intake().submit_items(request).await.expect_err("a feed");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let request = SubmitItemsRequest {
        project_id: proto::ProjectId::generate().to_string(),
        items: vec![item("a.md", b"text")],
        ..SubmitItemsRequest::default()
    };
    let refused = world.intake().submit_items(request).await.expect_err("another project");
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn many_requests_at_once_make_one_source() {
    let world = World::start().await;
    let requests = (0..8).map(|n| submit(&world, vec![item(&format!("{n}.md"), b"text")]));
    let answers = futures::future::join_all(requests).await;
    let ids: std::collections::BTreeSet<String> =
        answers.into_iter().map(|it| it.expect("taken").source_id).collect();
    assert_eq!(ids.len(), 1);
    world.knowledge.holds(8).await;
    assert_eq!(world.settled().await, []);
}
