//! Help, completion, and what is wrong on the command line itself.

use super::{Instance, finish, program};

const COMMANDS: [&str; 62] = [
    "",
    "up",
    "status",
    "source",
    "source add",
    "source list",
    "source edit",
    "source pause",
    "source resume",
    "source run",
    "source remove",
    "source test",
    "import",
    "search",
    "job",
    "job list",
    "job show",
    "job retry",
    "job cancel",
    "dead",
    "dead list",
    "dead retry",
    "dead discard",
    "project list",
    "project create",
    "project delete",
    "user list",
    "user add",
    "user edit",
    "user remove",
    "token create",
    "token list",
    "token revoke",
    "stack",
    "stack config",
    "stack apply",
    "stack diff",
    "stack start",
    "stack stop",
    "stack restart",
    "stack remove",
    "stack status",
    "logs",
    "top",
    "operation",
    "operation list",
    "operation show",
    "failure",
    "failure list",
    "secret",
    "secret put",
    "secret list",
    "secret delete",
    "hardening",
    "scan",
    "project",
    "project show",
    "user",
    "config",
    "config explain",
    "doctor",
    "completion",
];

#[tokio::test]
async fn every_command_explains_itself() {
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ended = finish(program(), &args, "").await.ok();
        assert!(ended.stdout.contains("Usage: commandcenter"), "{command}: {ended:?}");
        assert!(ended.stderr.is_empty(), "{command}");
    }
    let ended = finish(program(), &["--version"], "").await.ok();
    assert_eq!(ended.stdout, format!("commandcenter {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_wrong_command_line_is_a_usage_error() {
    let instance = Instance::start().await;
    for args in [
        &[][..],
        &["sourc"],
        &["source"],
        &["source", "add", "feed"],
        &["search"],
        &["status", "-o", "yaml"],
        &["status", "--timeout", "0"],
    ] {
        instance.run(args).await.failed(2, &["--help"]);
    }
    assert!(instance.site.requests().is_empty());
}

#[tokio::test]
async fn completion_needs_no_instance() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = finish(program(), &["completion", shell], "").await.ok();
        assert!(ended.stdout.contains("discard"), "{shell}");
    }
}
