//! Keeps containers away from the host they run on, with the host's own `iptables`, which the
//! Engine needs as well. Only our own chains, and jumps into them from bridges of our own names.

use std::os::unix::fs::chroot;
use std::process::Command;

/// Where the host's files are mounted.
const HOST: &str = "/host";

/// How long another user of the tables is waited for, in seconds.
const LOCK_S: &str = "5";

/// What may not be reached through the host: where clouds tell machines their credentials.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// Puts the rules for bridges whose names begin with `prefix` in place, and prints `kept` when
/// they were there, `restored` when not, or why neither can be.
pub fn keep(prefix: &str) {
    println!("{}", put(prefix).unwrap_or_else(|why| why));
}

/// Takes the rules away again.
pub fn remove(prefix: &str) {
    let done = enter(prefix).map(|()| {
        for (chain, from) in [(input(prefix), "INPUT"), (forward(prefix), "DOCKER-USER")] {
            while iptables("-D", from, &jump(prefix, &chain)).is_ok() {}
            iptables("-F", &chain, &[]).ok();
            iptables("-X", &chain, &[]).ok();
        }
        "removed".to_owned()
    });
    println!("{}", done.unwrap_or_else(|why| why));
}

fn enter(prefix: &str) -> Result<(), String> {
    let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain || prefix.is_empty() {
        return Err(format!("{prefix:?} is no prefix of names"));
    }
    chroot(HOST).and_then(|()| std::env::set_current_dir("/")).map_err(|error| error.to_string())
}

fn put(prefix: &str) -> Result<String, String> {
    enter(prefix)?;
    // Answers to what the host asked, such as a probe or a published port, may come in.
    let answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN"];
    let kept = [
        chain(&input(prefix), &[&answers, &["-j", "REJECT"]])?,
        chain(&forward(prefix), &[&["-d", LINK_LOCAL, "-j", "REJECT"]])?,
        hook("INPUT", &jump(prefix, &input(prefix)))?,
        hook("DOCKER-USER", &jump(prefix, &forward(prefix)))?,
    ];
    Ok(if kept.iter().all(|kept| *kept) { "kept" } else { "restored" }.to_owned())
}

fn input(prefix: &str) -> String {
    format!("{}-INPUT", prefix.to_uppercase())
}

fn forward(prefix: &str) -> String {
    format!("{}-FORWARD", prefix.to_uppercase())
}

fn jump(prefix: &str, chain: &str) -> Vec<String> {
    ["-i", &format!("{prefix}+"), "-j", chain].map(str::to_owned).to_vec()
}

/// Makes a chain of ours hold exactly these rules; whether it did.
fn chain(name: &str, rules: &[&[&str]]) -> Result<bool, String> {
    let rules: Vec<Vec<String>> =
        rules.iter().map(|rule| rule.iter().map(|&word| word.to_owned()).collect()).collect();
    let there = iptables("-S", name, &[]).unwrap_or_default();
    let count = there.lines().filter(|line| line.starts_with("-A")).count();
    if count == rules.len() && rules.iter().all(|rule| iptables("-C", name, rule).is_ok()) {
        return Ok(true);
    }
    // It may be there already.
    iptables("-N", name, &[]).ok();
    iptables("-F", name, &[])?;
    for rule in &rules {
        iptables("-A", name, rule)?;
    }
    Ok(false)
}

/// Puts a rule before all others of a chain that is not ours, unless it is there; whether it was.
fn hook(chain: &str, rule: &[String]) -> Result<bool, String> {
    if iptables("-C", chain, rule).is_ok() {
        return Ok(true);
    }
    iptables("-I", chain, rule).map(|_| false)
}

fn iptables(action: &str, chain: &str, rule: &[String]) -> Result<String, String> {
    let mut command = Command::new("iptables");
    let output = command.args(["-w", LOCK_S, action, chain]).args(rule).output();
    let output = output.map_err(|error| format!("the host's iptables cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("iptables {action} {chain}: {}", text(&output.stderr)))
    }
}
