//! The pages of a stack, as somebody who watches them sees it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{eventually, free_port};

use super::{PATIENCE, Stacks};
use crate::{browser::Browser, pages::sign_in};

/// From a failure to its place on the page.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// A page that answers slower than this is frozen for whoever looks at it.
const FROZEN_AFTER: Duration = Duration::from_secs(2);

/// Lines that a page holds at most.
const LINES_MAX: u64 = 5_000;

/// What a page may take, in bytes.
const HEAP_MAX: u64 = 200 << 20;

/// The numbers of the records that the page shows.
const NUMBERS: &str = "[...document.querySelectorAll('#log li')]\
                       .map(it => Number(it.id.split(':').pop())).filter(it => it > 0)";

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_shows_within_two_seconds_without_a_reload() {
    let mut stacks = Stacks::start().await;
    let (image, port) = (stacks.image.clone(), free_port());
    let file = format!(
        "services: {{web: {{image: '{image}', command: http, restart: 'no', \
         ports: ['127.0.0.1:{port}:8000']}}}}"
    );
    stacks.write("compose.yaml", &file);
    stacks.ok(&["stack", "apply", "--project", "p", "--wait"]);
    stacks.own("p").await;
    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &stacks.instance).await;
    browser.visit(&format!("{base}/projects/p")).await;
    shows(&browser, "ready", PATIENCE).await;
    browser.evaluate("window.sameForAll = 1").await;

    let mut program = TcpStream::connect(("127.0.0.1", port)).expect("it is published");
    program.write_all(b"GET /exit?3 HTTP/1.0\r\n\r\n").expect("it reads");
    let _ = program.read(&mut [0; 64]);
    eventually(PATIENCE, || async {
        let running = stacks.inspect("web", "{{.State.Running}}").await;
        if running == "false" { Ok(()) } else { Err(running) }
    })
    .await;
    let ended = Instant::now();
    shows(&browser, "EXITED", PATIENCE).await;
    let took = ended.elapsed();
    assert!(took < SHOWN_WITHIN, "shown after {took:?}");
    assert_eq!(browser.evaluate("window.sameForAll").await, json!(1), "it was not loaded again");
    browser.visit(&format!("{base}/projects/p/resources")).await;
    shows(&browser, "web", PATIENCE).await;
    assert!(browser.console().await.is_empty());
    browser.close().await;
    stacks.ok(&["stack", "remove", "--project", "p", "--wait"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_neither_freezes_nor_fills_the_page() {
    let mut stacks = Stacks::start().await;
    flood(&mut stacks, "lines=50000 rate=5000 + wait").await;
    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &stacks.instance).await;
    browser.visit(&format!("{base}/projects/p/logs?service=noise")).await;
    let last = eventually(PATIENCE, || async {
        let begin = Instant::now();
        let shown = browser.evaluate("document.querySelector('#log').childElementCount").await;
        assert!(begin.elapsed() < FROZEN_AFTER, "frozen for {:?}", begin.elapsed());
        assert!(shown.as_u64().expect("a number") <= LINES_MAX, "{shown}");
        // The two outputs end in either order.
        let texts = "[...document.querySelectorAll('#log .text')].slice(-100)\
                     .map(it => it.textContent.trim().split(' ')[0])";
        let last = browser.evaluate(texts).await;
        if last.to_string().contains("\"50000\"") { Ok(last) } else { Err(last) }
    });
    last.await;
    contiguous(&browser).await;
    let heap = browser.evaluate("performance.memory.usedJSHeapSize").await;
    assert!(heap.as_u64().expect("Chromium tells") < HEAP_MAX, "{heap}");
    browser.close().await;
    stacks.ok(&["stack", "remove", "--project", "p", "--wait"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_followed_has_no_gap_after_a_restart_of_ours() {
    let mut stacks = Stacks::start().await;
    flood(&mut stacks, "lines=1000000 rate=20").await;
    let browser = Browser::open(true).await;
    let base = sign_in(&browser, &stacks.instance).await;
    browser.visit(&format!("{base}/projects/p/logs?service=noise")).await;
    browser.evaluate("window.sameForAll = 1").await;
    let newest = async || {
        let numbers = browser.evaluate(&format!("Math.max(0, ...{NUMBERS})")).await;
        numbers.as_u64().expect("a number")
    };
    let grows = async |from: u64| {
        eventually(PATIENCE, || async {
            let now = newest().await;
            if now > from { Ok(now) } else { Err(now) }
        })
        .await
    };
    let before = grows(20).await;
    stacks.instance.kill().await;
    stacks.instance.launch().await;
    grows(before + 40).await;
    contiguous(&browser).await;
    assert_eq!(browser.evaluate("window.sameForAll").await, json!(1), "it was not loaded again");
    browser.close().await;
    stacks.ok(&["stack", "remove", "--project", "p", "--wait"]);
}

/// Applies a stack whose one service writes numbered lines.
async fn flood(stacks: &mut Stacks, lines: &str) {
    let image = stacks.image.clone();
    let file = format!("services: {{noise: {{image: '{image}', command: flood {lines}}}}}");
    stacks.write("compose.yaml", &file);
    stacks.ok(&["stack", "apply", "--project", "p", "--wait"]);
    stacks.own("p").await;
}

/// Every number that the page shows follows the one before.
async fn contiguous(browser: &Browser) {
    let gaps = browser
        .evaluate(&format!("{NUMBERS}.filter((it, i, all) => i > 0 && it !== all[i - 1] + 1)"))
        .await;
    assert_eq!(gaps, json!([]), "numbers that do not follow the one before");
}

async fn shows(browser: &Browser, text: &str, within: Duration) {
    eventually(within, || async {
        let shown = browser.text().await;
        if shown.contains(text) { Ok(()) } else { Err(shown) }
    })
    .await;
}
