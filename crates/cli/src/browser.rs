//! Opening the person's browser.
//!
//! The address comes from a provider's metadata. It is handed to the opener as one argument and never to a shell, and
//! only if it is a web address: an opener given a `file:` or a made-up scheme starts programs (CVE-2025-6514).

use std::process::{Command, Stdio};

use url::Url;

const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// Whether an address may be shown to a browser.
pub(crate) fn is_web_address(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Opens the browser; false where that cannot be done.
pub(crate) fn open(address: &str) -> bool {
    if !is_web_address(address) {
        return false;
    }
    let opener = Command::new(OPENER)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match opener {
        Ok(mut opener) => {
            // Some openers live as long as the browser: only its end is waited for, and elsewhere.
            std::thread::spawn(move || opener.wait());
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_reach_the_opener() {
        assert!(is_web_address("https://go.example/connect?x=1"));
        assert!(is_web_address("http://127.0.0.1:1/x"));
        for hostile in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "-a",
            "calc.exe",
            "ssh://x",
            "http:",
            "; rm -rf ~",
        ] {
            assert!(!is_web_address(hostile), "{hostile}");
        }
    }
}
