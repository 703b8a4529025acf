//! What the machine allows other programs of the same user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::Check;

pub(super) fn check(running: Option<u32>, checks: &mut Vec<Check>) {
    if cfg!(target_os = "linux") {
        checks.push(ptrace());
        checks.extend(running.map(core_dumps));
        checks.extend(running.and_then(memory));
    }
}

fn ptrace() -> Check {
    const NAME: &str = "ptrace";
    match fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
        .as_deref()
        .map(str::trim)
    {
        Ok("0") => Check::warn(
            NAME,
            "programs of one user may look into each other; Doorward closes its own memory all the same",
            "As root: `sysctl kernel.yama.ptrace_scope=1`.",
        ),
        Ok(_) => Check::ok(NAME, "restricted by the system"),
        Err(_) => Check::ok(
            NAME,
            "not restricted by the system; Doorward closes its own memory",
        ),
    }
}

fn core_dumps(pid: u32) -> Check {
    const NAME: &str = "core dumps";
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let limit = limits.lines().find_map(|line| {
        line.strip_prefix("Max core file size")?
            .split_whitespace()
            .next()
    });
    match limit {
        Some("0") => Check::ok(NAME, "off for the running Doorward"),
        Some(_) => Check::fail(
            NAME,
            "a crash of the running Doorward would write its memory to the disk",
            "Start Doorward again.",
        ),
        None => Check::warn(
            NAME,
            "the limits of the running Doorward cannot be read",
            "",
        ),
    }
}

/// The kernel gives the files of a process that may not be looked into to root. Root itself cannot see the difference.
fn memory(pid: u32) -> Option<Check> {
    const NAME: &str = "memory";
    let ours = rustix::process::geteuid().as_raw();
    if ours == 0 {
        return None;
    }
    let owner = fs::metadata(format!("/proc/{pid}/environ")).ok()?.uid();
    Some(if owner == ours {
        Check::fail(
            NAME,
            "other programs of yours can look into the running Doorward",
            "Start Doorward again; update it if that does not help.",
        )
    } else {
        Check::ok(NAME, "closed to other programs of yours")
    })
}
