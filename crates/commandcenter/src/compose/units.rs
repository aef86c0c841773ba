//! Sizes, lengths of time, shares of CPUs and permission bits as Compose writes them. Pure.

use std::time::Duration;

/// Where 0 means no limit in Compose, and cannot be had.
pub(super) const NOT_ZERO: &str = "must be more than 0; leave it out for the default";

/// `512M`, `1.5g`, `64mb`, `1GiB`, or bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let fault = || format!("must be a size such as 512M or 1g, not {text:?}");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(fault()),
    };
    let number: f64 = decimal(number.strip_suffix(' ').unwrap_or(number)).ok_or_else(fault)?;
    let bytes = number * (1_u64 << shift) as f64;
    if bytes > (1_u64 << 50) as f64 {
        return Err(format!("{text:?} is more than any host has"));
    }
    if bytes < 1.0 {
        return Err(NOT_ZERO.to_owned());
    }
    Ok(bytes as u64)
}

/// `1m30s`, `250ms`, `1.5h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("must be a length of time such as 30s or 1m30s, not {text:?}");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_alphabetic()).ok_or_else(fault)?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(fault()),
        };
        seconds += decimal(number).ok_or_else(fault)? * unit;
        rest = tail;
    }
    // Whole microseconds, so that 0.1s is 100 ms and not a little more.
    let micros = (seconds * 1e6).round();
    if micros > 1e14 {
        return Err(fault());
    }
    Ok(Duration::from_micros(micros as u64))
}

/// `0.5` is 500.
pub(super) fn cpu_millis(text: &str) -> Result<u32, String> {
    let cpus = decimal(text.trim()).filter(|cpus| (0.01..=1_024.0).contains(cpus));
    cpus.map(|cpus| (cpus * 1_000.0).round() as u32)
        .ok_or_else(|| format!("must be 0.01 to 1024 CPUs, such as 0.5, not {text:?}"))
}

/// `0440`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").or(text.strip_prefix('0'));
    digits
        .and_then(|digits| u32::from_str_radix(digits, 8).ok())
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("must be permission bits in octal, such as 0440, not {text:?}"))
}

/// Digits and at most one point: nothing of `inf`, `nan`, `1e9` and signs.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("1024", 1024),
            ("1k", 1024),
            ("512M", 512 << 20),
            ("64mb", 64 << 20),
            ("1.5g", 3 << 29),
            ("1GiB", 1 << 30),
            ("10b", 10),
            ("64 MB", 64 << 20),
        ] {
            assert_eq!(bytes(text), Ok(wanted));
        }
        for text in ["", "g", "-1m", "1e9", "512X", "1 0m", "nan", "9999999t", "0", "0g", "0.5"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (text, wanted) in
            [("30s", 30_000), ("1m30s", 90_000), ("250ms", 250), ("1.5h", 5_400_000), ("0.1s", 100)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(wanted)));
        }
        for text in ["", "30", "s", "-5s", "5 minutes", "1d", "5s!", "99999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_and_modes() {
        assert_eq!(cpu_millis("0.5"), Ok(500));
        assert_eq!(cpu_millis("2"), Ok(2_000));
        for text in ["0", "0.0004", "-1", "half", "inf", ""] {
            assert!(cpu_millis(text).is_err(), "{text}");
        }
        assert_eq!((mode("0440"), mode("0o400")), (Ok(0o440), Ok(0o400)));
        for text in ["440", "0999", "01777", "rw"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
