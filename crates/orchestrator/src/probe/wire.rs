//! Questions that are asked over the container's address: http, tcp, postgres, redis.
//!
//! They cost a millisecond where a command in the container costs sixty, and they are asked over
//! TCP: the server that initialises a new Postgres database listens on a Unix socket only.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{OUTPUT_BYTES_MAX, Verdict};

/// Version 3.0, for a database and a user that almost every server has; it is never logged in.
const POSTGRES_HELLO: &[u8] =
    b"\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0probe\0\0";

/// The server is starting, stopping or recovering; the one error that `pg_isready` minds.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// What a server said.
pub(super) type Said = Result<(Verdict, String), Error>;

/// Whether anybody accepts connections.
pub(super) async fn tcp(to: SocketAddr) -> Said {
    TcpStream::connect(to).await?;
    Ok((Verdict::Success, format!("connected to port {}", to.port())))
}

/// `GET`; `wanted` or any of 200 to 399.
pub(super) async fn http(to: SocketAddr, path: &str, wanted: Option<u16>) -> Said {
    let mut stream = TcpStream::connect(to).await?;
    // Frameworks that check the name admit this one more often than an address.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: commandcenter-probe\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n",
        to.port()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let ended = loop {
        if has_line(&answer) && status(&answer).is_none_or(|status| fits(status, wanted)) {
            break Ok(());
        }
        match read_some(&mut stream, &mut answer).await {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let text = String::from_utf8_lossy(&answer);
    match (status(&answer), ended) {
        (Some(status), _) if fits(status, wanted) => {
            Ok((Verdict::Success, first_line(&text).to_owned()))
        }
        (Some(_), _) => Ok((Verdict::Failure, told(&text))),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Ok((Verdict::Failure, format!("no HTTP answer: {}", first_line(&text)))),
    }
}

/// To the point where a real server asks for a password.
pub(super) async fn postgres(to: SocketAddr) -> Said {
    let mut stream = TcpStream::connect(to).await?;
    let length = u32::try_from(POSTGRES_HELLO.len() + 4).expect("it is short").to_be_bytes();
    stream.write_all(&[&length, POSTGRES_HELLO].concat()).await?;
    let mut answer = Vec::new();
    while !is_complete(&answer) && read_some(&mut stream, &mut answer).await? {}
    Ok(match answer.first() {
        // Authentication, or another version of the protocol.
        Some(b'R' | b'v') => (Verdict::Success, "accepts connections".to_owned()),
        Some(b'E') => {
            let (code, message) = (field(&answer, b'C'), field(&answer, b'M'));
            let verdict = match code.as_str() {
                CANNOT_CONNECT_NOW => Verdict::Failure,
                _ => Verdict::Success,
            };
            (verdict, format!("{message} (SQLSTATE {code})"))
        }
        Some(_) => (Verdict::Failure, "answers, but not as Postgres".to_owned()),
        None => (Verdict::Failure, "closes the connection without an answer".to_owned()),
    })
}

/// `PING`; a server that wants a password has loaded its data too.
pub(super) async fn redis(to: SocketAddr) -> Said {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = Vec::new();
    while !has_line(&answer) && read_some(&mut stream, &mut answer).await? {}
    let text = String::from_utf8_lossy(&answer);
    let line = first_line(&text);
    let works = line == "+PONG" || line.starts_with("-NOAUTH");
    Ok(match line {
        "" => (Verdict::Failure, "closes the connection without an answer".to_owned()),
        _ if works => (Verdict::Success, line.to_owned()),
        _ => (Verdict::Failure, line.to_owned()),
    })
}

/// What an error of the transport says about the service: it is the service's unless it is ours.
pub(super) fn blame(error: &Error) -> Verdict {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::HostUnreachable
        | ErrorKind::TimedOut => Verdict::Failure,
        _ => Verdict::Unknown,
    }
}

/// The address of a port.
pub(super) fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// Reads what is there, up to what is kept of an output; `false` when there will be no more.
async fn read_some(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<bool, Error> {
    let mut part = [0; 1024];
    let count = stream.read(&mut part).await?;
    answer.extend_from_slice(&part[..count]);
    Ok(count > 0 && answer.len() < OUTPUT_BYTES_MAX)
}

fn has_line(answer: &[u8]) -> bool {
    answer.contains(&b'\n')
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end()
}

/// The status of an HTTP answer.
fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let mut words = first_line(&text).split(' ');
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

fn fits(status: u16, wanted: Option<u16>) -> bool {
    wanted.map_or((200..400).contains(&status), |wanted| status == wanted)
}

/// The status line and the body of an HTTP answer.
fn told(answer: &str) -> String {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    format!("{}\n{body}", first_line(answer)).trim_end().to_owned()
}

/// Whether a message of Postgres is there as a whole: a letter and its length come first.
fn is_complete(answer: &[u8]) -> bool {
    match answer {
        [b'E', a, b, c, d, ..] => {
            answer.len() > u32::from_be_bytes([*a, *b, *c, *d]).min(1 << 16) as usize
        }
        [b'E', ..] | [] => false,
        _ => true,
    }
}

/// A field of an error of Postgres.
fn field(answer: &[u8], name: u8) -> String {
    let fields = answer.get(5..).unwrap_or_default().split(|byte| *byte == 0);
    let mut named = fields.filter(|field| field.first() == Some(&name));
    named.next().map(|it| String::from_utf8_lossy(&it[1..]).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server on loopback that reads a little and then says `answer` and closes.
    async fn server(answer: Vec<u8>) -> (SocketAddr, tokio::task::JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody connects");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.expect("it says something");
            stream.write_all(&answer).await.expect("it listens");
        });
        (address, tasks)
    }

    fn postgres_error(code: &str, message: &str) -> Vec<u8> {
        let fields = format!("SFATAL\0C{code}\0M{message}\0\0").into_bytes();
        let length = (fields.len() as u32 + 4).to_be_bytes();
        [b"E".as_slice(), &length, &fields].concat()
    }

    #[tokio::test]
    async fn http_answers_are_judged_by_their_status() {
        let ok = "HTTP/1.1 204 No Content\r\n\r\n";
        let sick = "HTTP/1.0 503 Sick\r\nx: y\r\n\r\nthe database is away";
        let cases = [
            (ok, None, Verdict::Success, "HTTP/1.1 204 No Content"),
            ("HTTP/1.1 399 Odd\r\n\r\n", None, Verdict::Success, "HTTP/1.1 399 Odd"),
            (ok, Some(200), Verdict::Failure, "HTTP/1.1 204 No Content"),
            (sick, Some(503), Verdict::Success, "HTTP/1.0 503 Sick"),
            (sick, None, Verdict::Failure, "HTTP/1.0 503 Sick\nthe database is away"),
            ("SSH-2.0-x\r\n", None, Verdict::Failure, "no HTTP answer: SSH-2.0-x"),
            ("", None, Verdict::Failure, "no HTTP answer: "),
        ];
        for (answer, wanted, verdict, output) in cases {
            let (address, _server) = server(answer.into()).await;
            let said = http(address, "/health", wanted).await.expect("it answers");
            assert_eq!(said, (verdict, output.to_owned()), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn postgres_is_judged_like_pg_isready_does() {
        let password = b"R\0\0\0\x0c\0\0\0\x05salt".to_vec();
        let starting = "the database system is starting up";
        let cases = [
            (password, Verdict::Success, "accepts connections".to_owned()),
            (
                postgres_error("57P03", starting),
                Verdict::Failure,
                format!("{starting} (SQLSTATE 57P03)"),
            ),
            (
                postgres_error("28000", "no pg_hba.conf entry"),
                Verdict::Success,
                "no pg_hba.conf entry (SQLSTATE 28000)".to_owned(),
            ),
            (b"HTTP/1.1 400".to_vec(), Verdict::Failure, "answers, but not as Postgres".to_owned()),
            (vec![], Verdict::Failure, "closes the connection without an answer".to_owned()),
        ];
        for (answer, verdict, output) in cases {
            let (address, _server) = server(answer).await;
            assert_eq!(postgres(address).await.expect("it answers"), (verdict, output));
        }
    }

    #[tokio::test]
    async fn redis_is_ready_once_its_data_are_loaded() {
        let loading = "-LOADING Redis is loading the dataset in memory";
        let cases = [
            ("+PONG\r\n", Verdict::Success, "+PONG"),
            (
                "-NOAUTH Authentication required.\r\n",
                Verdict::Success,
                "-NOAUTH Authentication required.",
            ),
            (&format!("{loading}\r\n"), Verdict::Failure, loading),
            ("", Verdict::Failure, "closes the connection without an answer"),
        ];
        for (answer, verdict, output) in cases {
            let (address, _server) = server(answer.into()).await;
            let said = redis(address).await.expect("it answers");
            assert_eq!(said, (verdict, output.to_owned()));
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_the_services_fault_and_our_own_trouble_is_not() {
        let (address, server) = server(vec![]).await;
        assert_eq!(tcp(address).await.expect("it listens").0, Verdict::Success);
        drop(server);
        let refused = SocketAddr::new(address.ip(), testkit::free_port());
        assert_eq!(blame(&tcp(refused).await.expect_err("nobody listens")), Verdict::Failure);
        for kind in [ErrorKind::PermissionDenied, ErrorKind::NetworkUnreachable, ErrorKind::Other] {
            assert_eq!(blame(&Error::from(kind)), Verdict::Unknown, "{kind:?}");
        }
    }
}
