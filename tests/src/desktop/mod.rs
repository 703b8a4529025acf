//! A person's desktop with the real application on it.
//!
//! [`Desktop`] is a [`World`] with a screen, a session bus, a tray, a notification daemon and a browser; [`App`] is the
//! application, started there as a person starts it and worked by its windows, its tray item and its notifications.
//! Both end with their values. A test that fails says what the application said and showed, and leaves a picture of
//! the screen.

mod browser;
mod driver;
mod notifications;
mod screen;
mod tray;
mod window;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::sync::OnceCell;

pub use browser::Browser;
pub use notifications::{Notification, Notifications};
pub use screen::OnScreen;
pub use tray::{Item, Line, Tray};
pub use window::Window;

use crate::process::{Process, Ran, Stdin};
use crate::world::{Builder, World};
use crate::{Keys, eventually, found, programs};
use driver::{Addresses, Driver};
use screen::Screen;

/// The title of the window for everything.
pub const MAIN: &str = "Doorward";
/// The title of the window in which an agent is let in.
pub const APPROVAL: &str = "Doorward – approval";

/// A machine with a screen, and nothing of Doorward on it yet.
pub struct Desktop {
    /// The folders, the provider, and the commands that a person types.
    pub world: World,
    /// What the application opened.
    pub browser: Browser,
    tray: Option<Tray>,
    scene: Arc<Scene>,
    started: AtomicU16,
}

/// What is looked at when a test fails, too.
struct Scene {
    screen: Screen,
    notifications: Option<Notifications>,
    log: PathBuf,
}

impl Desktop {
    /// One whose store's key is in the keyring.
    pub async fn new() -> Self {
        Self::of(World::builder().keyring()).await
    }

    /// One whose world is described further.
    pub async fn of(world: Builder) -> Self {
        Self::furnished(world, true).await
    }

    /// One with neither a tray nor a notification daemon, as some desktops are.
    pub async fn bare() -> Self {
        Self::furnished(World::builder().keyring(), false).await
    }

    async fn furnished(world: Builder, is_whole: bool) -> Self {
        let world = world.bus().build().await;
        settle(&world);
        let bus = world.bus().expect("it was asked for").to_owned();
        let screen = Screen::start().await;
        let notifications = if is_whole {
            Some(Notifications::start(&bus, &screen.display()).await)
        } else {
            None
        };
        let mut desktop = Self {
            browser: Browser::install(&world.folder().join("aside/browser"), world.environment()),
            tray: None,
            scene: Arc::new(Scene {
                notifications,
                screen,
                log: world.folder().join("state/doorward/log/desktop.log"),
            }),
            started: AtomicU16::new(0),
            world,
        };
        if is_whole {
            desktop.put_up_tray().await;
        }
        desktop
    }

    /// Puts up a tray where there is none.
    pub async fn put_up_tray(&mut self) {
        let bus = self.world.bus().expect("it was asked for");
        self.tray = Some(Tray::start(bus).await);
    }

    /// Where the application's item is.
    pub fn tray(&self) -> &Tray {
        self.tray.as_ref().expect("this desktop has a tray")
    }

    /// What the application asked to be shown.
    pub fn notifications(&self) -> &Notifications {
        let notifications = self.scene.notifications.as_ref();
        notifications.expect("this desktop has notifications")
    }

    /// Starts the application.
    pub fn start(&self, flags: &[&str]) -> App {
        self.start_with(flags, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(&self, flags: &[&str], more: &[(&str, &str)]) -> App {
        self.start_by(&programs::doorward_desktop(), flags, more)
    }

    /// The same, by another program that starts the application: its process is the one that is held.
    pub fn start_by(&self, program: &Path, flags: &[&str], more: &[(&str, &str)]) -> App {
        let before = self.started.fetch_add(1, Ordering::Relaxed);
        let addresses = Addresses::of_screen(self.scene.screen.number(), before);
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| (name.into(), value.into())));
        environment.extend([
            ("TAURI_WEBVIEW_AUTOMATION".into(), "true".into()),
            (
                "WEBKIT_INSPECTOR_SERVER".into(),
                addresses.inspector.to_string().into(),
            ),
        ]);
        App {
            process: Some(Process::start(program, flags, environment, Stdin::Empty)),
            driver: OnceCell::new(),
            addresses,
            scene: Arc::clone(&self.scene),
        }
    }

    /// Starts the application once more, beside the one that runs, and waits until this one has ended.
    pub async fn start_again(&self, flags: &[&str]) -> Ran {
        let program = programs::doorward_desktop();
        Process::start(&program, flags, self.environment(), Stdin::Empty)
            .ended()
            .await
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.world.environment();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::iter::once(self.browser.folder().to_owned()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).expect("a path of folders");
        environment.retain(|(name, _)| name != "PATH");
        environment.extend([
            ("PATH".into(), path),
            ("DISPLAY".into(), self.scene.screen.display().into()),
            ("GDK_BACKEND".into(), "x11".into()),
            ("LC_ALL".into(), "C.UTF-8".into()),
            // The accessibility bus would be asked for in vain.
            ("NO_AT_BRIDGE".into(), "1".into()),
        ]);
        environment
    }

    /// The application's windows that are shown, from the lowest to the topmost.
    pub fn shown(&self) -> Vec<String> {
        let windows = self.scene.screen.windows().into_iter();
        windows
            .filter(|window| window.shown)
            .map(|window| window.title)
            .collect()
    }

    /// Waits until these and no others are shown, the last one in front.
    pub async fn shows(&self, titles: &[&str]) {
        eventually(&format!("{titles:?} are shown"), async || {
            self.shown() == titles
        })
        .await;
    }

    /// Closes a window by its title bar's button.
    pub async fn close(&self, title: &str) {
        let meant = |seen: &OnScreen| seen.shown && seen.title == title;
        let window = found(&format!("a window {title:?}"), async || {
            self.scene.screen.windows().into_iter().find(meant)
        })
        .await;
        self.scene.screen.close(&window);
    }

    /// Whether what is typed goes to this window.
    pub fn has_keyboard(&self, title: &str) -> bool {
        let windows = self.scene.screen.windows();
        let mut titled = windows.iter().filter(|window| window.title == title);
        titled.any(|window| self.scene.screen.has_keyboard(window))
    }
}

/// Ports of the system's choice, and the store's key where the world keeps it.
fn settle(world: &World) {
    let keys = match world.keys() {
        Keys::Passphrase => "passphrase",
        Keys::Keyring => "keyring",
    };
    let folder = world.folder().join("config/doorward");
    std::fs::create_dir_all(&folder).expect("it can be made");
    std::fs::write(
        folder.join("config.toml"),
        format!("port = 0\nkeys = \"{keys}\"\n"),
    )
    .expect("it can be written");
}

/// The running application. Killed when dropped.
pub struct App {
    // There until the value is used up.
    process: Option<Process>,
    // Not before a window is wanted: there is nothing to take in hand where there is none.
    driver: OnceCell<Arc<Driver>>,
    addresses: Addresses,
    scene: Arc<Scene>,
}

impl Drop for App {
    fn drop(&mut self) {
        if let (true, Some(process)) = (std::thread::panicking(), &self.process) {
            self.scene.report(&process.said());
        }
    }
}

impl App {
    /// The window for everything; waits for it.
    pub async fn main(&self) -> Window {
        self.window("the main window", |address| !is_approval(address))
            .await
    }

    /// The window in which an agent is let in; waits for it.
    pub async fn approval(&self) -> Window {
        self.window("the approval window", is_approval).await
    }

    async fn window(&self, what: &str, is_meant: impl Fn(&str) -> bool) -> Window {
        let start = async || Arc::new(Driver::start(self.addresses).await);
        let driver = self.driver.get_or_init(start).await;
        found(what, async || {
            let windows = Window::all(driver).await.into_iter();
            let mut meant = windows.filter(|(address, _)| is_meant(address));
            meant.next_back().map(|(_, window)| window)
        })
        .await
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.process().pid().expect("it runs")
    }

    /// All it said so far.
    pub fn said(&self) -> String {
        self.process().said()
    }

    /// Asks it to end (SIGTERM), as a session that ends does.
    pub fn terminate(&self) {
        self.process().terminate();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ran {
        self.process
            .take()
            .expect("it is there until the end")
            .ended()
            .await
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it is there until the end")
    }
}

fn is_approval(address: &str) -> bool {
    address.contains("approval")
}

impl Scene {
    #[expect(
        clippy::print_stderr,
        reason = "this is how a failing test explains itself"
    )]
    fn report(&self, said: &str) {
        let kept = tempfile::Builder::new()
            .prefix("doorward-failed-")
            .tempdir()
            .expect("a folder");
        let picture = kept.keep().join("screen.png");
        self.screen.picture(&picture);
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let shown = self.notifications.as_ref().map(Notifications::all);
        eprintln!("--- the application said{said}");
        eprintln!("--- its log\n{log}");
        eprintln!("--- notifications\n{:#?}", shown.unwrap_or_default());
        eprintln!("--- windows\n{:#?}", self.screen.windows());
        eprintln!("--- a picture of the screen: {}", picture.display());
    }
}
