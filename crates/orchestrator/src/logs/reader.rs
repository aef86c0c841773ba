//! Reads one container's log into its service's timeline, for as long as there is a container.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::frame::{self, Decoder};
use super::level::Level;
use super::line::{Joiner, Line};
use super::mark::{drafts, happened, removed};
use super::project::{Project, Service};
use super::record::{Body, Draft, Gap, Kind};
use super::resume::{self, Point, Resume};
use crate::docker::{self, Client, Part};
use crate::metrics;

/// A batch is stored when it has grown to this, in bytes, or when nothing more is there.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// What a record costs beside its text, towards the size of a batch.
const RECORD_BYTES: usize = 64;

/// A silent stream is questioned this often, and a stopped container looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Between attempts to read, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Between attempts to store.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What the gap says when the Engine's own limits removed lines.
const DROPPED: &str = "Docker dropped lines before they could be read: its log files were full";

/// What the gap says when a container went with lines that were not read.
const UNREAD: &str = "the container was removed before its log could be read to the end";

/// The reader of one container.
pub(super) struct Reader {
    pub project: Arc<Project>,
    pub service: Arc<Service>,
    pub container: String,
    pub docker: Client,
    /// Somebody says that the container runs.
    pub wake: Arc<Notify>,
    /// Hears which stop of the container was read to its end.
    pub rest: watch::Sender<super::Rest>,
}

/// Why a stream could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Docker(#[from] docker::Error),
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error("the log stream ended in the middle of a piece")]
    CutOff,
    #[error("the log stream is silent, and Docker has lines after its last one")]
    Stalled,
}

/// What follows a turn.
enum Next {
    /// The container runs: its stream ended because it was restarted.
    Again,
    /// It has stopped, and everything was read. When it stopped tells this stop from the next.
    Rest(Option<DateTime<Utc>>),
    /// There is no such container any more.
    Gone,
}

impl Reader {
    /// Reads until the container is gone.
    pub(super) async fn run(&self, shutdown: Shutdown) {
        let (mut retry, mut drained, mut whole) = (RETRY_MIN, None, true);
        let source = resume::source(&self.container);
        loop {
            let before = self.service.timeline.point(source);
            let turn = tokio::select! {
                () = shutdown.cancelled() => return,
                turn = self.turn(drained, whole) => turn,
            };
            whole = turn.is_ok();
            let pause = match turn {
                Ok(Next::Gone) => return,
                Ok(Next::Rest(at)) => {
                    (retry, drained) = (RETRY_MIN, Some(at));
                    self.rest.send_replace(at);
                    LOOK_INTERVAL
                }
                Ok(Next::Again) => {
                    drained = None;
                    RETRY_MIN
                }
                Err(error) => {
                    let container = &self.container;
                    tracing::warn!(container, %error, "log not read; trying again");
                    let stuck = self.service.timeline.point(source) == before;
                    retry = if stuck { (retry * 2).min(RETRY_MAX) } else { RETRY_MIN };
                    retry
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Reads once to the end of the stream. `whole`: what was read before had an end.
    async fn turn(
        &self,
        drained: Option<Option<DateTime<Utc>>>,
        whole: bool,
    ) -> Result<Next, Error> {
        let Some((container, _)) = self.docker.container(&self.container).await? else {
            self.removed(whole).await;
            return Ok(Next::Gone);
        };
        let up = container.is_up();
        if !up && drained == Some(container.finished_at) {
            return Ok(Next::Rest(container.finished_at));
        }
        let source = resume::source(&self.container);
        let point = self.service.timeline.point(source);
        let fresh = self.service.timeline.last() == 0;
        let (before, after) = happened(&container, point, fresh);
        let mut pump = Pump {
            decoder: Decoder::default(),
            joiner: Joiner::default(),
            resume: Resume::new(point),
            batch: drafts(source, before),
            batch_bytes: 0,
        };
        let part = Part { since: pump.resume.since(), follow: up, tail: None };
        let ended = match self.docker.logs(&self.container, part).await {
            Ok(stream) => self.pump(&mut pump, stream, up).await,
            Err(error) if error.is_not_found() => return Ok(Next::Gone),
            Err(error) => return Err(error.into()),
        };
        if ended.is_ok() && !up {
            pump.joiner.finish();
        }
        self.take(&mut pump);
        if ended.is_ok() {
            pump.batch.extend(drafts(source, after));
        }
        self.store(&mut pump).await;
        ended?;
        Ok(if up { Next::Again } else { Next::Rest(container.finished_at) })
    }

    /// Notes that the container whose log this is was removed, and with it perhaps what was not
    /// read yet.
    async fn removed(&self, whole: bool) {
        let source = resume::source(&self.container);
        let point = self.service.timeline.point(source);
        if point == Point::default() {
            return;
        }
        let mark = removed(&self.container, Utc::now());
        let gap = Gap { from: point.newest, to: mark.0, lines: 0, reason: UNREAD.to_owned() };
        let gap = Draft { at: mark.0, source: 0, body: Body::Record(Kind::Gap(gap)) };
        let mut batch: Vec<Draft> = (!whole).then_some(gap).into_iter().collect();
        batch.extend(drafts(source, vec![mark]));
        self.keep(batch).await;
    }

    async fn pump(
        &self,
        pump: &mut Pump,
        mut stream: docker::LogStream,
        follow: bool,
    ) -> Result<(), Error> {
        loop {
            let next = match stream.next().now_or_never() {
                Some(next) => Some(next),
                None => {
                    self.store(pump).await;
                    timeout(LOOK_INTERVAL, stream.next()).await.ok()
                }
            };
            match next {
                Some(Some(bytes)) => pump.decoder.push(&bytes?),
                Some(None) if pump.decoder.is_empty() => return Ok(()),
                Some(None) => return Err(Error::CutOff),
                None if follow => self.question(pump).await?,
                None => return Err(Error::Stalled),
            }
            while let Some(frame) = pump.decoder.take()? {
                pump.joiner.push(&frame);
                self.take(pump);
                if pump.batch_bytes >= BATCH_BYTES_MAX {
                    self.store(pump).await;
                }
            }
        }
    }

    /// Whether a silent stream has a reason to be silent.
    async fn question(&self, pump: &Pump) -> Result<(), Error> {
        let part = Part { tail: Some(1), ..Part::default() };
        let mut stream = self.docker.logs(&self.container, part).await?;
        let mut decoder = Decoder::default();
        let read = async {
            while let Some(bytes) = stream.next().await {
                decoder.push(&bytes?);
            }
            Ok::<_, docker::Error>(())
        };
        timeout(LOOK_INTERVAL, read).await.map_err(|_| Error::Stalled)??;
        let kept = pump.resume.point();
        while let Some(frame) = decoder.take()? {
            if kept.count == 0 || frame.at > kept.newest {
                return Err(Error::Stalled);
            }
        }
        let found = self.docker.container(&self.container).await?;
        match found {
            Some((container, _)) if container.is_up() => Ok(()),
            _ => Err(Error::Stalled),
        }
    }

    /// Moves finished lines that are new into the batch.
    fn take(&self, pump: &mut Pump) {
        let redactor = self.project.redactor();
        let source = resume::source(&self.container);
        while let Some(line) = pump.joiner.pop() {
            if !pump.resume.admit(line.at) {
                continue;
            }
            if let Some((from, to)) = pump.resume.take_gap() {
                metrics::log_gap();
                let gap = Gap { from, to, lines: 0, reason: DROPPED.to_owned() };
                pump.batch.push(Draft { at: to, source: 0, body: Body::Record(Kind::Gap(gap)) });
            }
            let Line { output, at, mut text, truncated } = line;
            redactor.redact(&mut text);
            pump.batch_bytes += text.len() + RECORD_BYTES;
            let level = Level::of(&text);
            let kind = Kind::Line { output, level, truncated, text };
            pump.batch.push(Draft { at, source, body: Body::Record(kind) });
        }
    }

    async fn store(&self, pump: &mut Pump) {
        if !pump.batch.is_empty() {
            pump.batch_bytes = 0;
            pump.batch = self.keep(std::mem::take(&mut pump.batch)).await;
        }
    }

    /// Stores records, however long that takes: meanwhile Docker keeps what comes. Answers the
    /// emptied buffer.
    async fn keep(&self, batch: Vec<Draft>) -> Vec<Draft> {
        let mut batch = Arc::new(batch);
        loop {
            let (service, drafts) = (self.service.clone(), batch.clone());
            match spawn_blocking(move || service.timeline.append(&drafts)).await {
                Ok(Ok(_)) => {
                    let line = |it: &&Draft| matches!(it.body, Body::Record(Kind::Line { .. }));
                    metrics::log_lines(batch.iter().filter(line).count() as u64);
                    break;
                }
                Ok(Err(error)) => {
                    let service = &self.service.name;
                    tracing::warn!(service = &**service, %error, "log not stored; trying again");
                }
                Err(error) => tracing::warn!(%error, "log not stored; trying again"),
            }
            sleep(STORE_RETRY).await;
        }
        self.project.announce();
        let mut drafts = Arc::get_mut(&mut batch).map(std::mem::take).unwrap_or_default();
        drafts.clear();
        drafts
    }
}

/// A stream that is being read.
struct Pump {
    decoder: Decoder,
    joiner: Joiner,
    resume: Resume,
    batch: Vec<Draft>,
    batch_bytes: usize,
}
