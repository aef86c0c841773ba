//! What the tests stand on: the hub with its servers, and callers with several rights.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bus::Bus;
use chassis::{
    Shutdown,
    auth::{Authenticator, Layer},
    config::Secret,
    grpc::Endpoint,
    readiness::Readiness,
};
use database::TokenVerifier;
use proto::{
    ingestion::v1::{
        intake_service_server::IntakeServiceServer, source_service_server::SourceServiceServer,
    },
    knowledge::v1::{self as know, knowledge_service_server::KnowledgeServiceServer},
    orchestrator::v1::{
        health_service_server::HealthServiceServer, log_service_server::LogServiceServer,
        operation_service_server::OperationServiceServer, scan_service_server::ScanServiceServer,
        secret_service_server::SecretServiceServer, stack_service_server::StackServiceServer,
    },
};
use reqwest::{Method, RequestBuilder, StatusCode, redirect};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::{Nats, Postgres, eventually};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;

use crate::fake::Fake;

/// How long a test waits for work in the background.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The hub at work, with its first administrator.
pub(crate) struct Stand {
    pub(crate) pool: PgPool,
    pub(crate) fake: Fake,
    pub(crate) url: String,
    pub(crate) grpc_url: String,
    pub(crate) admin: String,
    pub(crate) folder: tempfile::TempDir,
    http: reqwest::Client,
    shutdown: Shutdown,
    _nats: Nats,
    _tasks: JoinSet<()>,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    /// Demands a status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{} {}", self.header("location"), self.text);
        self
    }

    /// The value that a `Set-Cookie` gives a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.headers.get_all("set-cookie").iter();
        cookies.filter_map(|value| value.to_str().ok()).find_map(|value| {
            let (key, rest) = value.split_once('=')?;
            (key == name).then(|| rest.split(';').next().unwrap_or_default().to_owned())
        })
    }
}

/// A browser that is signed in.
pub(crate) struct Browser<'a> {
    stand: &'a Stand,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Stand {
    /// A fresh hub; `sign_in_per_minute` is high unless a test is about it.
    pub(crate) async fn start() -> Self {
        Self::configured(hub::Config { sign_in_per_minute: 1_000, ..hub::Config::default() }).await
    }

    /// A fresh hub with a configuration of its own.
    pub(crate) async fn configured(config: hub::Config) -> Self {
        Self::started(config, false).await
    }

    /// A fresh hub behind a program that terminates TLS.
    pub(crate) async fn behind_tls(config: hub::Config) -> Self {
        Self::started(config, true).await
    }

    async fn started(mut config: hub::Config, behind_tls: bool) -> Self {
        let database = Postgres::start().await.database().await;
        let database = database::Config { url: Secret::from(database.url), ..Default::default() };
        let pool = database::connect(&database).await.expect("Postgres is up");
        let nats = Nats::start().await;
        let bus =
            bus::Config { url: Secret::from(nats.url_with_credentials()), ..Default::default() };
        let bus = Bus::connect(&bus).await.expect("the URL is well formed");
        let folder = tempfile::tempdir().expect("there is room");
        let file = |name: &str| -> PathBuf { folder.path().join(name) };
        config.admin_token_file.get_or_insert_with(|| file("admin.token"));
        config.admin_password_file.get_or_insert_with(|| file("admin.password"));
        std::fs::write(file("hub.token"), "cct_of-the-hub").expect("there is room");
        config.service_token_files.insert("hub".to_owned(), file("hub.token"));

        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let grpc = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", http.local_addr().expect("it is bound"));
        let grpc_url = format!("http://{}", grpc.local_addr().expect("it is bound"));
        let authenticator = Authenticator::new(Arc::new(TokenVerifier::new(pool.clone())));
        let readiness = Readiness::default();
        let own = Endpoint {
            url: grpc_url.clone(),
            token: Secret::from("cct_of-the-hub".to_owned()),
            ca_file: None,
        };
        let service = hub::service(hub::Parts {
            config,
            behind_tls,
            jobs: jobs::Config { poll_ms: 50, ..Default::default() },
            pool: pool.clone(),
            bus,
            ingestion: own.clone(),
            orchestrator: own.clone(),
            knowledge: own,
            authenticator: authenticator.clone(),
            readiness: readiness.clone(),
        })
        .expect("the endpoints are well formed");
        let fake = Fake::default();
        let mut routes = tonic::service::RoutesBuilder::default();
        routes
            .add_service(SourceServiceServer::new(fake.clone()))
            .add_service(IntakeServiceServer::new(fake.clone()))
            .add_service(KnowledgeServiceServer::new(fake.clone()))
            .add_service(StackServiceServer::new(fake.clone()))
            .add_service(HealthServiceServer::new(fake.clone()))
            .add_service(LogServiceServer::new(fake.clone()))
            .add_service(OperationServiceServer::new(fake.clone()))
            .add_service(SecretServiceServer::new(fake.clone()))
            .add_service(ScanServiceServer::new(fake.clone()));
        service.grpc.expect("it serves gRPC")(&mut routes);
        let shutdown = Shutdown::new();
        let mut tasks = JoinSet::new();
        let running = (service.run)(shutdown.clone());
        tasks.spawn(async move { running.await.expect("the hub runs") });
        let server = tonic::transport::Server::builder()
            .layer(Layer::new(authenticator))
            .add_routes(routes.routes())
            .serve_with_incoming(TcpListenerStream::new(grpc));
        tasks.spawn(async move { server.await.expect("it serves gRPC") });
        let make = service.http.expect("it serves HTTP");
        let make = make.into_make_service_with_connect_info::<SocketAddr>();
        tasks.spawn(async move { axum::serve(http, make).await.expect("it serves HTTP") });
        eventually(PATIENCE, || async {
            if readiness.all_serve() { Ok(()) } else { Err(readiness.reports()) }
        })
        .await;
        let admin = std::fs::read_to_string(folder.path().join("admin.token")).unwrap_or_default();
        Self {
            pool,
            fake,
            url,
            grpc_url,
            admin: admin.trim().to_owned(),
            folder,
            http: client(),
            shutdown,
            _nats: nats,
            _tasks: tasks,
        }
    }

    /// A request without anything.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A GET with a token.
    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(token)).await
    }

    /// A request with a token and a JSON body.
    pub(crate) async fn send(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        send(self.request(method, path).bearer_auth(token).json(body)).await
    }

    /// A POST with a token and a JSON body.
    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(token, Method::POST, path, body).await
    }

    /// A new API token; no projects means all of them.
    pub(crate) async fn token(&self, role: &str, projects: &[&str]) -> String {
        let body = json!({
            "name": format!("a {role}"), "role": role,
            "all_projects": projects.is_empty(), "projects": projects,
        });
        let made = self.post(&self.admin, "/api/tokens", &body).await.expect(201).json();
        made["token"].as_str().expect("it is shown").to_owned()
    }

    /// A new project.
    pub(crate) async fn project(&self, slug: &str) -> String {
        let made = self.post(&self.admin, "/api/projects", &json!({ "slug": slug })).await;
        made.expect(201).json()["id"].as_str().expect("it has an id").to_owned()
    }

    /// A new feed in a project.
    pub(crate) async fn feed(&self, project: &str, name: &str) -> String {
        let body = json!({
            "project": project, "kind": "feed", "name": name, "schedule": "hourly",
            "url": format!("https://{}.example/feed.xml", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        });
        let made = self.post(&self.admin, "/api/sources", &body).await.expect(201).json();
        made["id"].as_str().expect("it has an id").to_owned()
    }

    /// A document that knowledge holds.
    pub(crate) fn document(&self, project: &str, title: &str) -> String {
        let id = proto::DocumentId::generate().to_string();
        self.fake.0.documents.lock().unwrap().push(know::Document {
            id: id.clone(),
            project_id: project.to_owned(),
            source_id: proto::SourceId::generate().to_string(),
            source_name: "crab news".to_owned(),
            source_kind: "feed".to_owned(),
            external_id: "item-1".to_owned(),
            title: title.to_owned(),
            url: "https://a.example/1".to_owned(),
            text: "# Crabs\n\nThey <script>walk</script> *sideways*.".to_owned(),
            authors: vec!["Ann".to_owned()],
            tags: vec!["crab".to_owned()],
            revision: 1,
            searchable: true,
            chunks: 2,
            ..Default::default()
        });
        id
    }

    /// A user who has signed in; no projects means all of them.
    pub(crate) async fn browser(&self, role: &str, projects: &[&str]) -> Browser<'_> {
        let name = format!("{role}-{}", proto::UserId::generate());
        let password = "correct horse battery";
        let user = json!({
            "name": name, "password": password, "role": role,
            "all_projects": projects.is_empty(), "projects": projects,
        });
        self.post(&self.admin, "/api/users", &user).await.expect(201);
        let signed_in = self.sign_in(&name, password).await.expect(303);
        self.browser_with(signed_in.cookie("cc_session").expect("signed in")).await
    }

    /// The first administrator's browser.
    pub(crate) async fn admin_browser(&self) -> Browser<'_> {
        let password = std::fs::read_to_string(self.folder.path().join("admin.password"));
        let signed_in = self.sign_in("admin", password.expect("it was written").trim()).await;
        self.browser_with(signed_in.expect(303).cookie("cc_session").expect("signed in")).await
    }

    async fn browser_with(&self, cookie: String) -> Browser<'_> {
        let mut browser = Browser { stand: self, cookie, csrf: String::new() };
        browser.csrf = field(&browser.get("/help").await.expect(200).text, "csrf");
        browser
    }

    /// Fills in the sign-in form.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.sign_in_through("", name, password).await
    }

    /// Fills in the sign-in form; the program in front says whom it came through.
    pub(crate) async fn sign_in_through(
        &self,
        forwarded_for: &str,
        name: &str,
        password: &str,
    ) -> Answer {
        let form = send(self.request(Method::GET, "/sign-in")).await.expect(200);
        let cookie = form.cookie("cc_sign_in").expect("the form has its secret");
        let fields = [
            ("csrf", field(&form.text, "csrf")),
            ("name", name.into()),
            ("password", password.into()),
        ];
        let request = self.request(Method::POST, "/sign-in").form(&fields);
        let request = request.header("x-forwarded-for", forwarded_for);
        send(request.header("cookie", format!("cc_sign_in={cookie}"))).await
    }
}

impl Browser<'_> {
    /// A GET with the session.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// A request with the session and nothing else.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookie = format!("cc_session={}", self.cookie);
        self.stand.request(method, path).header("cookie", cookie)
    }

    /// A form with its CSRF secret.
    pub(crate) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut fields = fields.to_vec();
        fields.push(("csrf", &self.csrf));
        send(self.request(Method::POST, path).form(&fields)).await
    }

    /// Submits and follows to the page with the message.
    pub(crate) async fn submit_and_follow(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.submit(path, fields).await.expect(303);
        let flash = answer.cookie("cc_flash").unwrap_or_default();
        let cookie = format!("cc_session={}; cc_flash={flash}", self.cookie);
        let to = answer.header("location");
        send(self.stand.request(Method::GET, to).header("cookie", cookie)).await
    }
}

/// A client that follows no redirect and uses no proxy.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(chassis::tls::client_config())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("the options are well formed")
}

/// Sends and reads.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the hub answers");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("it is text") }
}

/// The value of a form's hidden field.
pub(crate) fn field(page: &str, name: &str) -> String {
    let start = page.find(&format!("name=\"{name}\" value=\"")).expect("the form has the field");
    let rest = &page[start..];
    let value = rest.split("value=\"").nth(1).expect("it has a value");
    value.split('"').next().expect("it ends").to_owned()
}
