//! Some cases need rights that a machine may not give. What it gives is found out here, so that a case that cannot be
//! played is counted as not run, with the reason, and does not pass in silence.

use std::net::TcpListener;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(may_mount, may_be_another_user, has_ipv6)");
    println!("cargo::rerun-if-changed=build.rs");
    if succeeds(
        "unshare",
        &["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
    ) && is_root()
    {
        println!("cargo::rustc-cfg=may_mount");
    }
    if succeeds(
        "setpriv",
        &[
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "true",
        ],
    ) {
        println!("cargo::rustc-cfg=may_be_another_user");
    }
    if TcpListener::bind("[::1]:0").is_ok() {
        println!("cargo::rustc-cfg=has_ipv6");
    }
}

/// `unshare` may also be given to others within a namespace of theirs; a plain `mount` is not.
fn is_root() -> bool {
    let id = Command::new("id").arg("--user").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
