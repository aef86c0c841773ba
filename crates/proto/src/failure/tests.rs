//! What of a failure reaches the caller.

use super::*;

#[test]
fn a_failure_survives_the_wire() {
    for reason in Reason::ALL {
        let failure = Failure::new(*reason, "the feed https://a.example is 100 MB; limit 15 MB")
            .fact("limit", 15)
            .violation("url", "must be smaller")
            .retry_after(Duration::from_secs(7));
        let status = Status::from(failure.clone());
        assert_eq!(status.code(), reason.grpc_code());
        assert_eq!(Failure::from_status(&status), failure);
    }
}

#[test]
fn no_failure_is_larger_than_the_headers_of_an_answer() {
    let long = "ü".repeat(1 << 20);
    let mut failure = Failure::new(Reason::Internal, &long);
    for index in 0..100 {
        failure = failure.fact(&format!("fact{index}"), &long).violation("field", &long);
    }
    let headers = Status::from(failure).into_http::<()>().headers().clone();
    // As HTTP/2 counts: 32 bytes for each header beside its name and value.
    let size = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 32
    };
    let bytes: usize = headers.iter().map(size).sum();
    assert!(bytes < 16 * 1024, "{bytes}");
    let read = Failure::from_status(&Status::from_header_map(&headers).expect("a status"));
    assert!(read.message.starts_with('ü') && read.message.ends_with('…'));
    assert_eq!((read.metadata.len(), read.violations.len()), (FACTS_MAX, VIOLATIONS_MAX));
}

#[test]
fn a_bare_transport_status_gets_a_reason() {
    let failure = Failure::from_status(&Status::unavailable("connection refused"));
    assert_eq!(failure.reason, Reason::Unavailable);
    assert!(failure.is_transient());
    let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let failure = Failure::from_status(&Status::from_error(broken.into()));
    assert_eq!(failure.reason, Reason::Unavailable, "our connection is no fault of the service");
    let failure = Failure::from_status(&Status::unknown("what?"));
    assert_eq!(failure.reason, Reason::Internal);
}
