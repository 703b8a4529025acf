//! The place where a desktop shows tray items, and an item's menu as a desktop shell would work it.
//!
//! A real shell is a panel with a screen's worth of dependencies. All an application sees of it are two D-Bus
//! interfaces: the watcher's, which is played here, and the host's calls on the item and its menu, which are made here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use zbus::fdo::DBusProxy;
use zbus::message::Header;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, Proxy, interface};

use crate::{PATIENCE, found};

/// What an item's own interface is called.
const ITEM: &str = "org.kde.StatusNotifierItem";

/// `(iiay)`: width, height and pixels.
type Picture = (i32, i32, Vec<u8>);
/// `(sa(iiay)ss)`: the name of an icon, the icon, the title and the text.
type Tooltip = (String, Vec<Picture>, String, String);
/// An item's bus name and object path.
type Place = (String, String);

/// `org.kde.StatusNotifierWatcher`, with a host that is always there: without one, an application may fall back to
/// another kind of icon.
struct Watcher {
    items: Arc<Mutex<Vec<Place>>>,
}

#[expect(
    clippy::unused_self,
    reason = "what D-Bus calls a property of an object is a method of it"
)]
#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    async fn register_status_notifier_item(
        &self,
        service: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        let caller = header.sender().map(ToString::to_string).unwrap_or_default();
        // Some register a bus name whose item is at the usual path, others a path on the name they call from.
        let place = if service.starts_with('/') {
            (caller, service.to_owned())
        } else {
            (service.to_owned(), "/StatusNotifierItem".to_owned())
        };
        let name = format!("{}{}", place.0, place.1);
        self.items
            .lock()
            .expect("nobody panics with it")
            .push(place);
        Self::status_notifier_item_registered(&emitter, &name).await?;
        Ok(())
    }

    fn register_status_notifier_host(&self, service: &str) -> zbus::fdo::Result<()> {
        // There is one already, and it is not on the bus: another is only taken note of.
        if service.is_empty() {
            return Err(zbus::fdo::Error::InvalidArgs("no name".to_owned()));
        }
        Ok(())
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        let items = self.items.lock().expect("nobody panics with it");
        items
            .iter()
            .map(|(name, path)| format!("{name}{path}"))
            .collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(signal)]
    async fn status_notifier_item_registered(
        emitter: &SignalEmitter<'_>,
        item: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn status_notifier_item_unregistered(
        emitter: &SignalEmitter<'_>,
        item: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn status_notifier_host_registered(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// The tray of a desktop. Gone from the bus when dropped.
pub struct Tray {
    bus: Connection,
    items: Arc<Mutex<Vec<Place>>>,
}

impl Tray {
    pub(super) async fn start(address: &str) -> Self {
        let items = Arc::new(Mutex::new(Vec::new()));
        let watcher = Watcher {
            items: Arc::clone(&items),
        };
        let bus = zbus::connection::Builder::address(address)
            .and_then(|bus| bus.name("org.kde.StatusNotifierWatcher"))
            .and_then(|bus| bus.serve_at("/StatusNotifierWatcher", watcher))
            .expect("a watcher can be described")
            .method_timeout(PATIENCE)
            .build()
            .await
            .expect("the bus is there, and has no other watcher");
        Self { bus, items }
    }

    /// The one item whose application is still there; waits for it.
    pub async fn item(&self) -> Item {
        let only = async || <[Place; 1]>::try_from(self.living().await).ok();
        let [(name, path)] = found("an item in the tray", only).await;
        Item {
            bus: self.bus.clone(),
            name,
            path,
        }
    }

    /// Whether nothing is shown.
    pub async fn is_empty(&self) -> bool {
        self.living().await.is_empty()
    }

    async fn living(&self) -> Vec<Place> {
        let items = self.items.lock().expect("nobody panics with it").clone();
        let bus = DBusProxy::new(&self.bus).await.expect("the bus is there");
        let mut living = Vec::new();
        for (name, path) in items {
            let owner = BusName::try_from(name.clone()).expect("a bus name");
            if bus.name_has_owner(owner).await.unwrap_or(false) {
                living.push((name, path));
            }
        }
        living
    }
}

/// An item in the tray.
pub struct Item {
    bus: Connection,
    name: String,
    path: String,
}

/// A line of an item's menu, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says; empty for a rule between lines.
    pub label: String,
    /// Whether it can be chosen.
    pub enabled: bool,
    id: i32,
}

/// `(ia{sv}av)`: a menu item's number, its properties, and what is below it.
type Node = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

impl Item {
    async fn text(&self, property: &str) -> String {
        let proxy = self.proxy(&self.path, ITEM).await;
        let text = proxy.get_property::<String>(property).await;
        text.unwrap_or_else(|error| panic!("the tray item has no {property}: {error}"))
    }

    /// `Active`, `NeedsAttention` or `Passive`.
    pub async fn status(&self) -> String {
        self.text("Status").await
    }

    /// The name it is known by.
    pub async fn id(&self) -> String {
        self.text("Id").await
    }

    /// The picture that is shown, byte for byte: the largest that it brings along, or the file that it names. While
    /// it is being exchanged there may be none: waits for the next.
    pub async fn icon(&self) -> Vec<u8> {
        found("the tray item's icon", async || {
            let item = self.proxy(&self.path, ITEM).await;
            let pictures = item.get_property::<Vec<Picture>>("IconPixmap").await;
            if let Some((_, _, bytes)) = pictures.unwrap_or_default().into_iter().max() {
                return Some(bytes);
            }
            let folder = PathBuf::from(self.text("IconThemePath").await);
            std::fs::read(folder.join(self.text("IconName").await)).ok()
        })
        .await
    }

    /// What is shown when the item is pointed at: a headline and the text below.
    pub async fn tooltip(&self) -> (String, String) {
        let item = self.proxy(&self.path, ITEM).await;
        let tip = item.get_property::<Tooltip>("ToolTip").await;
        let (_, _, title, text) = tip.expect("the tray item has a tooltip");
        (title, text)
    }

    /// Its menu, from the top.
    pub async fn menu(&self) -> Vec<Line> {
        let menu = self.menu_proxy().await;
        // What is asked of the application when the menu opens; whether it changed anything is of no interest here.
        let _changed: Result<bool, _> = menu.call("AboutToShow", &(0_i32,)).await;
        let all: &[&str] = &[];
        let layout: (u32, Node) = menu
            .call("GetLayout", &(0_i32, -1_i32, all))
            .await
            .expect("the menu has a layout");
        let (_, (_, _, children)) = layout;
        children.into_iter().filter_map(line).collect()
    }

    /// What its menu says, from the top, without the rules between.
    pub async fn labels(&self) -> Vec<String> {
        let lines = self.menu().await.into_iter();
        lines
            .map(|line| line.label)
            .filter(|label| !label.is_empty())
            .collect()
    }

    /// Chooses a line of the menu; waits until it is there.
    pub async fn choose(&self, label: &str) {
        let chosen = |line: &Line| line.label == label && line.enabled;
        let line = found(&format!("{label:?} in the tray's menu"), async || {
            self.menu().await.into_iter().find(chosen)
        })
        .await;
        let nothing = Value::I32(0);
        self.menu_proxy()
            .await
            .call_method("Event", &(line.id, "clicked", nothing, 0_u32))
            .await
            .expect("the menu takes a click");
    }

    /// Clicks on the item itself.
    pub async fn click(&self) {
        let item = self.proxy(&self.path, ITEM).await;
        let clicked = item.call_method("Activate", &(0_i32, 0_i32)).await;
        clicked.expect("the tray item takes a click");
    }

    async fn menu_proxy(&self) -> Proxy<'_> {
        let item = self.proxy(&self.path, ITEM).await;
        let path: OwnedObjectPath = item
            .get_property("Menu")
            .await
            .expect("the tray item has a menu");
        self.proxy(path.as_str(), "com.canonical.dbusmenu").await
    }

    async fn proxy(&self, path: &str, interface: &'static str) -> Proxy<'_> {
        zbus::proxy::Builder::new(&self.bus)
            .destination(self.name.clone())
            .and_then(|proxy| proxy.path(path.to_owned()))
            .and_then(|proxy| proxy.interface(interface))
            .expect("a tray item's own name and path")
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .expect("the bus is there")
    }
}

fn line(node: OwnedValue) -> Option<Line> {
    let (id, properties, _) = Node::try_from(node).ok()?;
    let text = |name: &str| {
        properties
            .get(name)
            .and_then(|text| String::try_from(text.clone()).ok())
    };
    let truth = |name: &str| {
        properties
            .get(name)
            .and_then(|truth| bool::try_from(truth.clone()).ok())
    };
    // The protocol's defaults: shown and enabled unless it says otherwise.
    truth("visible").unwrap_or(true).then(|| Line {
        // An underscore marks the letter that a key chooses; two stand for one.
        label: text("label")
            .unwrap_or_default()
            .replace("__", "\0")
            .replace('_', "")
            .replace('\0', "_"),
        enabled: truth("enabled").unwrap_or(true),
        id,
    })
}
