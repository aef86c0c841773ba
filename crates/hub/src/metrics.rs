//! What the hub counts.

use metrics::counter;

/// Attempts to sign in, by result.
const SIGN_INS: &str = "hub_sign_ins_total";
/// Requests refused at the gate, by reason.
const REFUSED: &str = "hub_requests_refused_total";

/// Counts an attempt to sign in.
pub(crate) fn sign_in(succeeded: bool) {
    let result = if succeeded { "succeeded" } else { "failed" };
    counter!(SIGN_INS, "service" => "hub", "result" => result).increment(1);
}

/// Counts a request that the gate refused.
pub(crate) fn refused(reason: proto::Reason) {
    counter!(REFUSED, "service" => "hub", "reason" => reason.as_str()).increment(1);
}
