//! Server-sent events as they come: one connection, until it ends.

use std::time::Duration;

use reqwest::Response;
use url::Url;

use crate::error::Error;

/// How long a stream may be silent; the server says every 15 s that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The longest event that is read, in bytes: a line of a log may have 1 MiB before it is escaped.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Something that the server told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// What kind it is.
    pub(crate) name: String,
    /// Where to go on after it; empty when the stream has no such places.
    pub(crate) id: String,
    /// JSON.
    pub(crate) data: String,
}

/// An open stream.
pub(super) struct Events {
    response: Response,
    url: Url,
    parser: Parser,
}

impl Events {
    pub(super) fn new(response: Response, url: Url) -> Self {
        Self { response, url, parser: Parser::default() }
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let url = self.url.to_string();
            let chunk = match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(source)) => return Err(Error::Unreachable { url, source }),
                Err(_) => {
                    return Err(Error::TimedOut {
                        what: format!("the next word of {url}"),
                        seconds: SILENCE_MAX.as_secs(),
                        remedy: "`commandcenter status` shows how it does",
                    });
                }
            };
            let Some(chunk) = chunk else { return Ok(None) };
            if self.parser.buffer.len() + chunk.len() > EVENT_BYTES_MAX {
                let why = "an event is longer than 16 MiB".to_owned();
                return Err(Error::Foreign { url, why });
            }
            self.parser.buffer.extend_from_slice(&chunk);
        }
    }
}

/// Cuts a stream into events, as the HTML standard has it. Pure.
#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
    /// Of the buffer, what holds no line end.
    scanned: usize,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// The next whole event of what has come.
    fn next(&mut self) -> Option<Event> {
        let mut start = 0;
        let mut found = None;
        while found.is_none() {
            let from = start.max(self.scanned);
            let Some(end) = self.buffer[from..].iter().position(|byte| *byte == b'\n') else {
                self.scanned = self.buffer.len();
                break;
            };
            let line = String::from_utf8_lossy(&self.buffer[start..from + end]).into_owned();
            start = from + end + 1;
            found = self.line(line.trim_end_matches('\r'));
        }
        self.buffer.drain(..start);
        self.scanned = self.scanned.saturating_sub(start);
        found
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments, which say that it lives, and what is for browsers.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": live\nretry: 2000\n\nevent: record\r\nid: web:1\r\ndata: {\"a\":1}\r\n\r\n\
                          data: two\ndata:lines\n\n:\n\nevent: half\ndata: ";

    fn event(name: &str, id: &str, data: &str) -> Event {
        Event { name: name.to_owned(), id: id.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_whole_however_they_come() {
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in STREAM.as_bytes().chunks(size) {
                parser.buffer.extend_from_slice(chunk);
                events.extend(std::iter::from_fn(|| parser.next()));
            }
            assert_eq!(
                events,
                [event("record", "web:1", "{\"a\":1}"), event("", "", "two\nlines")],
                "in parts of {size}"
            );
        }
    }
}
