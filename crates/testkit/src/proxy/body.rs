//! Bodies of answers: as they are, cut off, and with each piece twice.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use http_body_util::{BodyDataStream, BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};

/// The body of an answer; an error breaks the connection.
pub(super) type Body = BoxBody<Bytes, io::Error>;

/// The type of an output, three zeros, and the length of the rest.
const FRAME_HEADER_BYTES: usize = 8;

/// From the last byte that is sent to the end of the connection.
const FLUSH_TIME: Duration = Duration::from_millis(20);

pub(super) fn whole(body: Full<Bytes>) -> Body {
    body.map_err(super::never).boxed()
}

pub(super) fn same(body: Incoming) -> Body {
    body.map_err(io::Error::other).boxed()
}

/// Breaks off after so many bytes; a shorter body ends as it would.
pub(super) fn cut(body: Incoming, bytes: u64) -> Body {
    let end = stream::once(std::future::ready(None));
    let pieces = pieces(body).map(Some).chain(end).scan(bytes, |left, piece| {
        let next = match piece {
            _ if *left == 0 => Some(Err(io::Error::other("the test said so"))),
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                Some(Ok(piece))
            }
            other => other,
        };
        async {
            if let Some(Err(_)) = &next {
                // What was sent before shall leave first.
                tokio::time::sleep(FLUSH_TIME).await;
            }
            next
        }
    });
    streamed(pieces)
}

/// Each event, which is a line, or each frame of a log comes twice.
pub(super) fn double(body: Incoming) -> Body {
    let mut rest = BytesMut::new();
    let doubled = pieces(body).map(move |piece| {
        rest.extend_from_slice(&piece?);
        let mut out = BytesMut::new();
        while let Some(length) = unit(&rest) {
            let unit = rest.split_to(length);
            out.extend_from_slice(&unit);
            out.extend_from_slice(&unit);
        }
        Ok(out.freeze())
    });
    streamed(doubled)
}

/// The length of the first whole frame or line.
fn unit(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.first()? {
        0..=2 => {
            let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
            let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            FRAME_HEADER_BYTES + length as usize
        }
        _ => bytes.iter().position(|&it| it == b'\n')? + 1,
    };
    (length <= bytes.len()).then_some(length)
}

fn pieces(body: Incoming) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let mut body = BodyDataStream::new(body);
    stream::poll_fn(move |cx| body.poll_next_unpin(cx).map_err(io::Error::other))
}

fn streamed(pieces: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}
