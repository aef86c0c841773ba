//! What the end of a process means.

use super::{Diagnosis, Reason};

/// An exit code above this names the signal that ended the process.
const SIGNALS_FROM: i64 = 128;
const SIGKILL: i64 = 9;

/// What is known about the end of a container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit<'a> {
    /// As the Engine has it: 128 and the signal's number, when a signal ended it.
    pub code: i64,
    /// The Engine's flag, or an `oom` event just before. 137 alone proves nothing.
    pub out_of_memory: bool,
    /// In bytes.
    pub memory_limit: u64,
    /// The most that was seen, in bytes; 0 when nobody looked.
    pub memory_peak: u64,
    /// Its log's last line; empty when there is none.
    pub last_line: &'a str,
}

impl Exit<'_> {
    /// Why it ended.
    #[must_use]
    pub fn diagnose(&self) -> Diagnosis {
        if self.out_of_memory {
            return Diagnosis::out_of_memory(self.memory_limit, self.memory_peak);
        }
        let message = format!("it ended with code {} ({})", self.code, meaning(self.code));
        Diagnosis::new(self.reason(), message)
    }

    fn reason(&self) -> Reason {
        match self.code {
            // runc's last words when the kernel refuses the program.
            1 | 255 if self.last_line.trim_end().ends_with("exec format error") => {
                Reason::ImageUnusable
            }
            125 => Reason::DaemonFailed,
            126 => Reason::CommandNotExecutable,
            127 => Reason::CommandNotFound,
            code if code == SIGNALS_FROM + SIGKILL => Reason::Killed,
            _ => Reason::Exited,
        }
    }
}

/// What an exit code says by convention.
#[must_use]
pub fn meaning(code: i64) -> String {
    let known = match code {
        0 => "success",
        1 => "a general error",
        2 => "wrong use, or a Go panic",
        125 => "the container could not be run",
        126 => "the command may not be executed",
        127 => "the command was not found",
        129 => "SIGHUP: hung up",
        130 => "SIGINT: interrupted",
        131 => "SIGQUIT: quit with a core dump",
        132 => "SIGILL: an instruction that this CPU lacks",
        133 => "SIGTRAP: a trap",
        134 => "SIGABRT: it aborted itself",
        135 => "SIGBUS: a bus error, such as a full /dev/shm",
        136 => "SIGFPE: an arithmetic error",
        137 => "SIGKILL: killed from outside or after its grace period",
        139 => "SIGSEGV: a memory access violation",
        141 => "SIGPIPE: nobody read its output",
        143 => "SIGTERM: asked to end",
        152 => "SIGXCPU: over its CPU limit",
        153 => "SIGXFSZ: over its file size limit",
        159 => "SIGSYS: a system call that seccomp forbids",
        _ if (129..=192).contains(&code) => return format!("signal {}", code - SIGNALS_FROM),
        _ => "its own meaning",
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_reason() {
        let exit = |code, out_of_memory, last_line| Exit {
            code,
            out_of_memory,
            memory_limit: 1 << 20,
            memory_peak: 0,
            last_line,
        };
        let cases = [
            (exit(0, false, "bye"), Reason::Exited),
            (exit(1, false, "exec /app: exec format error\n"), Reason::ImageUnusable),
            (exit(255, false, "exec /app: exec format error"), Reason::ImageUnusable),
            (exit(3, false, "exec /app: exec format error"), Reason::Exited),
            (exit(125, false, ""), Reason::DaemonFailed),
            (exit(126, false, ""), Reason::CommandNotExecutable),
            (exit(127, false, ""), Reason::CommandNotFound),
            (exit(137, false, ""), Reason::Killed),
            (exit(137, true, ""), Reason::OutOfMemory),
            (exit(1, true, "std::bad_alloc"), Reason::OutOfMemory),
            (exit(139, false, ""), Reason::Exited),
        ];
        for (exit, reason) in cases {
            assert_eq!(exit.diagnose().reason, reason, "{exit:?}");
        }
    }

    #[test]
    fn codes_are_explained() {
        let told = |code| {
            let exit =
                Exit { code, out_of_memory: false, memory_limit: 0, memory_peak: 0, last_line: "" };
            exit.diagnose().message
        };
        assert_eq!(told(139), "it ended with code 139 (SIGSEGV: a memory access violation)");
        assert_eq!(told(42), "it ended with code 42 (its own meaning)");
        assert_eq!(meaning(162), "signal 34");
        assert_eq!(meaning(300), "its own meaning");
    }
}
