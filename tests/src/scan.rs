//! Looks for secrets in bytes, in every form in which one is written down without being hidden.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fastio_sim::Sim;

/// What is looked for.
#[derive(Default)]
pub struct Scan {
    // What it is, in which form, and the form itself.
    needles: Vec<(String, Vec<u8>)>,
}

impl Scan {
    /// A scan that looks for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for everything that a provider issued or received.
    #[must_use]
    pub fn with_all_of(mut self, sim: &Sim) -> Self {
        for secret in sim.issued_secrets() {
            self = self.with(&format!("{:?}", secret.kind), &secret.value);
        }
        self
    }

    /// Looks for one secret more.
    #[must_use]
    pub fn with(mut self, what: &str, secret: &str) -> Self {
        assert!(
            secret.len() >= 8,
            "{what} is so short that it is found by accident"
        );
        let random = secret.strip_prefix("dwk_").unwrap_or(secret);
        self.add(what, secret.as_bytes());
        // What is written as base64url is 32 bytes, and these say as much.
        if let Ok(bytes @ [_, _, _, _, _, _, _, _, ..]) = URL_SAFE_NO_PAD.decode(random).as_deref()
        {
            self.add(&format!("the bytes of {what}"), bytes);
        }
        self
    }

    fn add(&mut self, what: &str, secret: &[u8]) {
        let mut form =
            |name: &str, bytes: Vec<u8>| self.needles.push((format!("{what} {name}"), bytes));
        form("in clear", secret.to_vec());
        let hex = in_hex(secret);
        form("in upper-case hex", hex.to_uppercase().into_bytes());
        form("in hex", hex.into_bytes());
        for before in 0..3 {
            form("in base64", in_base64(secret, before).into_bytes());
            let url = in_base64(secret, before)
                .replace('+', "-")
                .replace('/', "_");
            form("in base64url", url.into_bytes());
        }
    }

    /// How many forms are looked for.
    pub fn forms(&self) -> usize {
        self.needles.len()
    }

    /// What of it is found in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        let found = self.search(bytes);
        let mut names: Vec<String> = found
            .into_iter()
            .map(|place| self.needles[place].0.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn search(&self, bytes: &[u8]) -> Vec<usize> {
        let needles = self.needles.iter().map(|(_, form)| form);
        let search = AhoCorasick::new(needles).expect("so few needles fit");
        search
            .find_overlapping_iter(bytes)
            .map(|found| found.pattern().as_usize())
            .collect()
    }

    /// Fails where anything of it is in a file below these folders, in a file's name, or in `said`. Returns how many
    /// files and bytes were looked at, so that a scan of nothing is seen.
    #[track_caller]
    pub fn nothing_in(&self, folders: &[PathBuf], said: &[&str]) -> (usize, usize) {
        let mut found = Vec::new();
        let (mut files, mut bytes) = (0, 0);
        for folder in folders {
            for path in files_below(folder) {
                // A socket, or a file that went away while we looked, holds nothing.
                let content = std::fs::read(&path).unwrap_or_default();
                let name = path.to_string_lossy().into_owned();
                files += 1;
                bytes += content.len();
                for secret in self
                    .find(&content)
                    .into_iter()
                    .chain(self.find(name.as_bytes()))
                {
                    found.push(format!("{name}: {secret}"));
                }
            }
        }
        for text in said {
            bytes += text.len();
            found.extend(
                self.find(text.as_bytes())
                    .into_iter()
                    .map(|secret| format!("what was said: {secret}")),
            );
        }
        assert!(found.is_empty(), "secrets in clear:\n{}", found.join("\n"));
        (files, bytes)
    }
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _written = write!(hex, "{byte:02x}");
        hex
    })
}

/// The base64 of a secret that begins `before` bytes into a group of three, without the characters at either end that
/// depend on what stands around it.
fn in_base64(secret: &[u8], before: usize) -> String {
    let shifted = [&vec![0; before], secret].concat();
    let whole = STANDARD_NO_PAD.encode(&shifted);
    let start = (before * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    whole[start..end].to_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_at_every_place() {
        let secret = "s3cret~value+of/19b";
        let scan = Scan::new().with("it", secret);
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{secret}, and more");
            let coded = STANDARD.encode(&text);
            let forms = [
                text.clone(),
                coded.replace('+', "-").replace('/', "_"),
                coded,
                in_hex(text.as_bytes()),
                in_hex(text.as_bytes()).to_uppercase(),
            ];
            for form in forms {
                assert!(
                    !scan.find(format!("xx{form}yy").as_bytes()).is_empty(),
                    "{form}"
                );
            }
        }
        assert!(scan.find(b"s3cret~value+of/19a").is_empty());
    }

    #[test]
    fn a_random_secret_is_found_as_the_bytes_it_stands_for() {
        let bytes: Vec<u8> = (100..132).collect();
        let key = format!("dwk_{}", URL_SAFE_NO_PAD.encode(&bytes));
        let scan = Scan::new().with("key", &key);
        assert_eq!(
            scan.find(&[b"..".as_slice(), &bytes, b".."].concat()),
            ["the bytes of key in clear"]
        );
    }

    #[test]
    #[should_panic(expected = "deep/er/leak: it in hex")]
    fn a_leak_in_a_file_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        std::fs::write(folder.path().join("deep/er/leak"), "--6c656b6b69732e2e2e--").unwrap();
        Scan::new()
            .with("it", "lekkis...")
            .nothing_in(&[folder.path().to_owned()], &[]);
    }
}
