//! The notifications of a desktop: shown by a real daemon (dunst), overheard on the bus, answered by a person.
//!
//! The bus lets a monitor see what passes, so that a test knows exactly what an application asked to be shown, and the
//! daemon still is the one that shows it. Actions are chosen where dunst's user chooses them: in the menu that dunst
//! opens with a program of the user's choice, which here is a script that picks the line it was told.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use tokio::task::JoinHandle;
use zbus::fdo::{DBusProxy, MonitoringProxy};
use zbus::message::Type;
use zbus::names::WellKnownName;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::process::{Process, Stdin};
use crate::{PATIENCE, eventually, found};

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// What an application asked to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The daemon's number for it.
    pub id: u32,
    /// Who shows it.
    pub application: String,
    /// The headline.
    pub summary: String,
    /// The text below.
    pub body: String,
    /// Keys and labels of its buttons.
    pub actions: Vec<(String, String)>,
    /// Whether it has been closed, by whomever.
    pub closed: bool,
    /// The bus name of who shows it.
    sender: String,
}

/// `Notify`'s arguments: application, replaced id, icon, summary, body, actions, hints, time limit.
type Notify = (
    String,
    u32,
    String,
    String,
    String,
    Vec<String>,
    HashMap<String, OwnedValue>,
    i32,
);

#[derive(Default)]
struct Heard {
    shown: Vec<Notification>,
    /// Calls whose reply, with the number, has not come yet: by caller and serial.
    asked: HashMap<(String, u32), Notification>,
    /// Calls that ask to be told what a person chooses and have not been answered yet: by caller and serial.
    asking: HashSet<(String, u32)>,
    /// Who is told what a person chooses.
    listening: HashSet<String>,
}

/// Notifications, their daemon and who listens in. Ends when dropped.
pub struct Notifications {
    bus: Connection,
    heard: Arc<Mutex<Heard>>,
    choice: PathBuf,
    listener: JoinHandle<()>,
    _daemon: Process,
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Notifications {
    pub(super) async fn start(address: &str, display: &str) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = listen(address, Arc::clone(&heard)).await;
        let folder = tempfile::tempdir().expect("a folder for the daemon");
        let choice = folder.path().join("choice");
        let settings = write_settings(folder.path(), &choice);
        let environment = [
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), folder.path().into()),
            ("DISPLAY".into(), display.into()),
            ("DBUS_SESSION_BUS_ADDRESS".into(), address.into()),
        ];
        let arguments = ["-config".into(), settings];
        let mut daemon = Process::start(Path::new("dunst"), &arguments, environment, Stdin::Empty);
        daemon.keep(folder);
        let bus = zbus::connection::Builder::address(address).expect("a bus's address");
        let bus = bus.method_timeout(PATIENCE).build().await;
        let bus = bus.expect("the bus is there");
        let names = DBusProxy::new(&bus).await.expect("the bus is there");
        eventually("the notification daemon is on the bus", async || {
            let name = WellKnownName::from_static_str(SERVICE).expect("a bus name");
            names.name_has_owner(name.into()).await.unwrap_or(false)
        })
        .await;
        Self {
            bus,
            heard,
            choice,
            listener,
            _daemon: daemon,
        }
    }

    /// All that was asked to be shown, in order.
    pub fn all(&self) -> Vec<Notification> {
        self.heard
            .lock()
            .expect("nobody panics with it")
            .shown
            .clone()
    }

    /// The first whose headline holds a text; waits for it.
    pub async fn about(&self, text: &str) -> Notification {
        let about = |shown: &Notification| shown.summary.contains(text);
        found(&format!("a notification about {text:?}"), async || {
            self.all().into_iter().find(about)
        })
        .await
    }

    /// Chooses an action of a notification, as a person does in the daemon's own menu. A person is never as quick as
    /// to choose before the application listens; a test is, so it waits for that.
    pub async fn choose(&self, notification: &Notification, key: &str) {
        let listens = async || {
            let heard = self.heard.lock().expect("nobody panics with it");
            heard.listening.contains(&notification.sender)
        };
        eventually("the application listens for what is chosen", listens).await;
        // The menu's line for an action ends with the notification's number and the action's key.
        let line = format!("[{},{key}]", notification.id);
        std::fs::write(&self.choice, line).expect("a choice can be written");
        let dunst = Some("org.dunstproject.cmd0");
        let asked = self
            .bus
            .call_method(Some(SERVICE), PATH, dunst, "ContextMenuCall", &());
        asked.await.expect("dunst opens its menu");
    }

    /// Closes a notification, as a person does who has read it.
    pub async fn dismiss(&self, notification: &Notification) {
        let closing = self.bus.call_method(
            Some(SERVICE),
            PATH,
            Some(SERVICE),
            "CloseNotification",
            &notification.id,
        );
        closing.await.expect("dunst closes what it shows");
    }

    /// Says on the bus that an action was chosen, as a program does that is not the daemon.
    pub async fn forge_choice(&self, id: u32, key: &str) {
        let chosen = (id, key);
        let forged = self
            .bus
            .emit_signal(None::<&str>, PATH, SERVICE, "ActionInvoked", &chosen);
        forged.await.expect("anybody may send a signal");
    }
}

fn write_settings(folder: &Path, choice: &Path) -> PathBuf {
    let menu = folder.join("menu");
    let script = format!("#!/bin/sh\nexec grep -m 1 -F -f '{}'\n", choice.display());
    std::fs::write(&menu, script).expect("a script can be written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&menu, executable).expect("it is ours");
    let settings = folder.join("dunstrc");
    // Shown until closed, so that nothing in a test depends on how fast it is.
    let timeouts =
        ["low", "normal", "critical"].map(|urgency| format!("[urgency_{urgency}]\ntimeout = 0\n"));
    let text = format!(
        "[global]\ndmenu = {}\n{}",
        menu.display(),
        timeouts.concat()
    );
    std::fs::write(&settings, text).expect("settings can be written");
    settings
}

async fn listen(address: &str, heard: Arc<Mutex<Heard>>) -> JoinHandle<()> {
    let bus = zbus::connection::Builder::address(address).expect("a bus's address");
    let bus = bus.build().await.expect("the bus is there");
    let rule = |kind| MatchRule::builder().msg_type(kind);
    let rules = [
        rule(Type::MethodCall)
            .interface(SERVICE)
            .expect("a name")
            .build(),
        rule(Type::Signal)
            .interface(SERVICE)
            .expect("a name")
            .build(),
        rule(Type::MethodReturn).build(),
        rule(Type::MethodCall)
            .member("AddMatch")
            .expect("a name")
            .build(),
    ];
    let mut messages = MessageStream::from(&bus);
    let monitor = MonitoringProxy::new(&bus).await.expect("the bus is there");
    monitor
        .become_monitor(&rules, 0)
        .await
        .expect("this bus lets anybody listen");
    tokio::spawn(async move {
        let _held = bus;
        while let Some(Ok(message)) = messages.next().await {
            heard.lock().expect("nobody panics with it").take(&message);
        }
    })
}

impl Heard {
    fn take(&mut self, message: &Message) {
        let header = message.header();
        let member = header.member().map(ToString::to_string);
        let caller = || header.sender().map(ToString::to_string).unwrap_or_default();
        let call = || (caller(), message.primary_header().serial_num().get());
        match (
            message.message_type(),
            member.as_deref().unwrap_or_default(),
        ) {
            (Type::MethodCall, "Notify") => {
                if let Ok(arguments) = message.body().deserialize::<Notify>() {
                    self.asked.insert(call(), asked(arguments, &caller()));
                }
            }
            (Type::MethodCall, "AddMatch") => {
                let rule: String = message.body().deserialize().unwrap_or_default();
                // Whoever asks for each kind of signal apart asks for this one last.
                let is_last = !rule.contains("member=") || rule.contains("NotificationClosed");
                if is_last && rule.contains(SERVICE) {
                    self.asking.insert(call());
                }
            }
            (Type::MethodReturn, _) => {
                let caller = header.destination().map(ToString::to_string);
                let serial = header.reply_serial().map_or(0, std::num::NonZero::get);
                let call = (caller.unwrap_or_default(), serial);
                if let Some(mut shown) = self.asked.remove(&call) {
                    shown.id = message.body().deserialize().unwrap_or_default();
                    self.shown.push(shown);
                }
                if self.asking.remove(&call) {
                    self.listening.insert(call.0);
                }
            }
            (Type::Signal, "NotificationClosed") => {
                let (id, _reason): (u32, u32) = message.body().deserialize().unwrap_or_default();
                let closed = self.shown.iter_mut().filter(|shown| shown.id == id);
                closed.for_each(|shown| shown.closed = true);
            }
            _ => {}
        }
    }
}

fn asked(arguments: Notify, sender: &str) -> Notification {
    let (application, _, _, summary, body, actions, _, _) = arguments;
    let pairs = actions
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()));
    Notification {
        id: 0,
        application,
        summary,
        body,
        actions: pairs.collect(),
        closed: false,
        sender: sender.to_owned(),
    }
}
