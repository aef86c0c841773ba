//! A real Chromium, driven over the W3C WebDriver protocol.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use testkit::{eventually, free_port};
use tokio::process::{Child, Command};

/// The key that WebDriver knows as the element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// For one command; the first one starts the browser.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// For a page to take the place of another.
const LOAD_DEADLINE: Duration = Duration::from_secs(15);

/// For the driver to listen.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// A browser window; dropped, the driver is killed.
pub(crate) struct Browser {
    session: String,
    client: reqwest::Client,
    _driver: Child,
}

impl Browser {
    /// Opens a window, with or without JavaScript.
    pub(crate) async fn open(javascript: bool) -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed: scripts/test installs it");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(chassis::tls::client_config())
            .timeout(COMMAND_TIMEOUT)
            .build()
            .expect("a client");
        let url = format!("http://127.0.0.1:{port}");
        eventually(START_DEADLINE, || async {
            let status = client.get(format!("{url}/status")).send().await;
            status.map(drop).map_err(|error| error.to_string())
        })
        .await;
        let allowed = if javascript { 1 } else { 2 };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"],
            "prefs": { "profile.managed_default_content_settings.javascript": allowed },
        });
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let made = post(&client, &format!("{url}/session"), &capabilities).await;
        let made = made.unwrap_or_else(|refusal| panic!("no browser: {refusal}"));
        let id = made["sessionId"].as_str().expect("a session");
        Self { session: format!("{url}/session/{id}"), client, _driver: driver }
    }

    /// Closes the window; without it the browser would outlive its driver.
    pub(crate) async fn close(self) {
        let closed = self.client.delete(&self.session).send().await;
        closed.expect("the window closes");
    }

    /// Loads a page.
    pub(crate) async fn visit(&self, url: &str) {
        self.command("url", &json!({ "url": url })).await;
    }

    /// The address of the page that is shown.
    pub(crate) async fn url(&self) -> String {
        let answer = self.client.get(format!("{}/url", self.session)).send().await;
        let value: Value = answer.expect("an answer").json().await.expect("JSON");
        value["value"].as_str().expect("a URL").to_owned()
    }

    /// Types into the first element that the selector finds. `\u{E007}` is the enter key.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let found = self.find(selector).await;
        self.command(&format!("element/{found}/value"), &json!({ "text": text })).await;
    }

    /// Types into the first element that the selector finds, instead of what it holds. Keys alone
    /// would not do: where the caret stands in a number is up to the browser.
    pub(crate) async fn replace(&self, selector: &str, text: &str) {
        let found = self.find(selector).await;
        self.command(&format!("element/{found}/clear"), &json!({})).await;
        self.command(&format!("element/{found}/value"), &json!({ "text": text })).await;
    }

    /// Presses keys wherever the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let focused = self.client.get(format!("{}/element/active", self.session)).send().await;
        let value: Value = focused.expect("an answer").json().await.expect("JSON");
        let id = value["value"][ELEMENT].as_str().expect("an element").to_owned();
        self.command(&format!("element/{id}/value"), &json!({ "text": key })).await;
    }

    /// The value of a script's expression.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        let body = json!({ "script": format!("return {expression}"), "args": [] });
        self.command("execute/sync", &body).await
    }

    /// What the page shows as text.
    pub(crate) async fn text(&self) -> String {
        // A page that is being replaced takes its elements with it.
        eventually(LOAD_DEADLINE, || async {
            let body = json!({ "using": "css selector", "value": "body" });
            let found = post(&self.client, &format!("{}/element", self.session), &body).await?;
            let body = found[ELEMENT].as_str().unwrap_or_default();
            let url = format!("{}/element/{body}/text", self.session);
            let text = answer(self.client.get(url)).await?;
            text.as_str().map(str::to_owned).ok_or(text)
        })
        .await
    }

    /// Shows pages as someone who prefers `light` or `dark` sees them.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let body =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.command("goog/cdp/execute", &body).await;
    }

    /// What the console said since the last call.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// The URL of every request since the last call.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        entries
            .iter()
            .filter_map(|entry| serde_json::from_str(entry["message"].as_str()?).ok())
            .filter(|event: &Value| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| {
                event["message"]["params"]["request"]["url"].as_str().map(str::to_owned)
            })
            .collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.command("se/log", &json!({ "type": kind })).await;
        entries.as_array().expect("entries").clone()
    }

    async fn find(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command("element", &body).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/{path}", self.session);
        let answer = post(&self.client, &url, body).await;
        answer.unwrap_or_else(|refusal| panic!("{url} {body}: {refusal}"))
    }
}

async fn post(client: &reqwest::Client, url: &str, body: &Value) -> Result<Value, Value> {
    answer(client.post(url).json(body)).await
}

/// The driver's answer, or its refusal.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value, Value> {
    let answer = request.send().await.expect("an answer");
    let ok = answer.status().is_success();
    let value: Value = answer.json().await.expect("JSON");
    if ok { Ok(value["value"].clone()) } else { Err(value) }
}
