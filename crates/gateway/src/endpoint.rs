//! `endpoint.json`: how agents find a running Doorward.
//!
//! The file tells a client where to send its key, so a client believes it only where nobody else
//! can have written it, and only for an address of this machine. It is written whole or not at
//! all, and removed at a clean stop only while it still is what was written: a Doorward that
//! started meanwhile must not lose its own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

const FOLDER: &str = "doorward";
const FILE: &str = "endpoint.json";
/// The file holds an address, a number and a version.
const LONGEST: u64 = 4096;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The gateway's address.
    pub url: String,
    /// The process that holds the broker.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

/// Files that were written.
#[derive(Debug)]
pub struct Announcement {
    paths: Vec<PathBuf>,
    endpoint: Endpoint,
}

impl Announcement {
    /// Where the files lie, the one that is looked for first before the other.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Removes the files, as far as they still are ours.
    pub fn withdraw(self) -> io::Result<()> {
        self.paths.iter().try_for_each(|path| match read(path) {
            Ok(found) if found == self.endpoint => fs::remove_file(path),
            // Another Doorward's, or nobody's: nothing of ours is left.
            Ok(_) | Err(FindError::Nowhere | FindError::Unsafe { .. }) => Ok(()),
            Err(FindError::Unreadable { source, .. }) => Err(source),
        })
    }
}

/// Writes the file for this process: into the user's runtime folder if there is one, and into the
/// data folder, which exists. An agent that a timer or another session started may not know of the
/// runtime folder.
pub fn announce(url: &str, runtime: Option<&Path>, data: &Path) -> io::Result<Announcement> {
    let endpoint = Endpoint {
        url: url.to_owned(),
        pid: std::process::id(),
        version: crate::VERSION.to_owned(),
    };
    let runtime = runtime.filter(|runtime| is_own_folder(runtime));
    let runtime = runtime.map(private_folder).transpose()?;
    let mut announcement = Announcement {
        paths: Vec::new(),
        endpoint,
    };
    for folder in runtime.as_deref().into_iter().chain([data]) {
        let path = write(folder, &announcement.endpoint)?;
        announcement.paths.push(path);
    }
    Ok(announcement)
}

fn write(folder: &Path, endpoint: &Endpoint) -> io::Result<PathBuf> {
    let path = folder.join(FILE);
    // A name of our own, so that two who start at once do not write into one file.
    let draft = folder.join(format!(".{FILE}.{}", endpoint.pid));
    remove_if_there(&draft)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&serde_json::to_vec(endpoint)?)?;
    fs::rename(&draft, &path)?;
    Ok(path)
}

/// The variable that names the runtime folder outlives `su` and logging out: a folder that is gone,
/// or another user's, is as good as none.
fn is_own_folder(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == own)
}

fn private_folder(runtime: &Path) -> io::Result<PathBuf> {
    let folder = runtime.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !is_own_folder(&folder) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a folder of this user", folder.display()),
        ));
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    Ok(folder)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Why no address was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing tells one.
    #[error("no running Doorward was found. Start it, or set DOORWARD_URL")]
    Nowhere,
    /// Something tells one that must not be believed.
    #[error("{place} {what}")]
    Unsafe {
        /// What tells it.
        place: String,
        /// Why not.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Finds the gateway's address for a client: what `DOORWARD_URL` says (the caller has read it),
/// else the file in the runtime folder, else the one in the data folder. A file whose process is
/// gone was left by a crash and is passed over.
pub fn find(stated: Option<&str>, runtime: Option<&Path>, data: &Path) -> Result<Url, FindError> {
    if let Some(stated) = stated.filter(|stated| !stated.is_empty()) {
        return loopback(stated).map_err(|what| FindError::Unsafe {
            place: "DOORWARD_URL".into(),
            what,
        });
    }
    let runtime = runtime.filter(|runtime| is_own_folder(runtime));
    let runtime = runtime.map(|runtime| runtime.join(FOLDER));
    for folder in runtime.as_deref().into_iter().chain([data]) {
        let path = folder.join(FILE);
        match read(&path) {
            Ok(endpoint) if runs(endpoint.pid) => {
                let place = path.display().to_string();
                return loopback(&endpoint.url).map_err(|what| FindError::Unsafe { place, what });
            }
            Ok(_) | Err(FindError::Nowhere) => {}
            Err(error) => return Err(error),
        }
    }
    Err(FindError::Nowhere)
}

fn read(path: &Path) -> Result<Endpoint, FindError> {
    let unreadable = |source| FindError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let unsafe_ = |what| FindError::Unsafe {
        place: path.display().to_string(),
        what,
    };
    let file = match rustix::fs::open(
        path,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK,
        rustix::fs::Mode::empty(),
    ) {
        Ok(file) => fs::File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
            return Err(FindError::Nowhere);
        }
        Err(rustix::io::Errno::LOOP) => return Err(unsafe_("is a link, and Doorward writes none")),
        Err(error) => return Err(unreadable(error.into())),
    };
    let meta = file.metadata().map_err(unreadable)?;
    if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(unsafe_(
            "can be written by another user, so its address is not believed",
        ));
    }
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(unsafe_("is not a file that Doorward writes"));
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut &file, &mut text).map_err(unreadable)?;
    serde_json::from_str(&text).map_err(|_| unsafe_("is not a file that Doorward writes"))
}

fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| {
        !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
    })
}

/// An address of this machine, to which a key may go in clear.
fn loopback(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not an address")?;
    let is_here = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !is_here || url.scheme() != "http" {
        return Err("is not an http address of this machine, and keys go nowhere else");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:13667";

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (runtime, data) = (root.path().join("run"), root.path().join("data"));
        fs::create_dir(&runtime).unwrap();
        fs::create_dir(&data).unwrap();
        (root, runtime, data)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_announced_is_found_and_only_its_owner_can_read_it() {
        let (_root, runtime, data) = folders();
        for runtime in [Some(runtime.as_path()), None] {
            let announcement = announce(URL, runtime, &data).unwrap();
            for path in announcement.paths() {
                assert_eq!(mode(path), 0o600);
            }
            assert!(
                find(None, None, &data).is_ok(),
                "also without the runtime folder"
            );
            assert_eq!(
                find(None, runtime, &data).unwrap().as_str(),
                "http://127.0.0.1:13667/"
            );
            let paths = announcement.paths().to_owned();
            announcement.withdraw().unwrap();
            assert!(paths.iter().all(|path| !path.exists()));
            assert!(matches!(
                find(None, runtime, &data),
                Err(FindError::Nowhere)
            ));
        }
        assert_eq!(mode(&runtime.join("doorward")), 0o700);
        assert_eq!(
            fs::read_dir(&data).unwrap().count(),
            0,
            "no draft is left behind"
        );
    }

    #[test]
    fn a_runtime_folder_that_is_gone_is_as_good_as_none() {
        let (_root, runtime, data) = folders();
        let gone = runtime.join("gone");
        let announcement = announce(URL, Some(&gone), &data).unwrap();
        assert_eq!(announcement.paths(), [data.join(FILE)]);
        assert!(find(None, Some(&gone), &data).is_ok());
    }

    #[test]
    fn a_stop_leaves_the_announcement_of_another_alone() {
        let (_root, runtime, data) = folders();
        let first = announce(URL, Some(&runtime), &data).unwrap();
        let second = announce("http://127.0.0.1:4711", Some(&runtime), &data).unwrap();
        first.withdraw().unwrap();
        assert!(second.paths().iter().all(|path| path.exists()));
        second.withdraw().unwrap();
    }

    #[test]
    fn the_environment_wins_and_a_dead_process_is_passed_over() {
        let (_root, runtime, data) = folders();
        let announcement = announce(URL, Some(&runtime), &data).unwrap();
        let found = find(Some("http://localhost:1/"), Some(&runtime), &data).unwrap();
        assert_eq!(found.as_str(), "http://localhost:1/");
        assert!(
            find(Some(""), Some(&runtime), &data).is_ok(),
            "an empty variable says nothing"
        );

        // No process has this id: it is above what Linux gives out.
        let left = Endpoint {
            url: URL.into(),
            pid: 2_000_000_000,
            version: "0".into(),
        };
        for path in announcement.paths() {
            fs::write(path, serde_json::to_vec(&left).unwrap()).unwrap();
        }
        assert!(matches!(
            find(None, Some(&runtime), &data),
            Err(FindError::Nowhere)
        ));
        let own = announce("http://[::1]:4711", None, &data).unwrap();
        assert_eq!(
            find(None, Some(&runtime), &data).unwrap().as_str(),
            "http://[::1]:4711/"
        );
        own.withdraw().unwrap();
    }

    #[test]
    fn keys_are_never_sent_away_from_this_machine() {
        let (_root, _, data) = folders();
        for evil in [
            "http://evil.example:13667",
            "https://127.0.0.1:13667",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "127.0.0.1:13667",
            "file:///etc/passwd",
        ] {
            assert!(
                matches!(find(Some(evil), None, &data), Err(FindError::Unsafe { .. })),
                "{evil}"
            );
            let left = Endpoint {
                url: evil.into(),
                pid: std::process::id(),
                version: "0".into(),
            };
            let path = data.join(FILE);
            fs::write(&path, serde_json::to_vec(&left).unwrap()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(
                matches!(find(None, None, &data), Err(FindError::Unsafe { .. })),
                "{evil}"
            );
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_not_believed() {
        let (_root, _, data) = folders();
        let announcement = announce(URL, None, &data).unwrap();
        let path = &announcement.paths()[0];
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(
            find(None, None, &data),
            Err(FindError::Unsafe { .. })
        ));
        let elsewhere = data.join("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path).unwrap();
        assert!(matches!(
            find(None, None, &data),
            Err(FindError::Unsafe { .. })
        ));
    }
}
