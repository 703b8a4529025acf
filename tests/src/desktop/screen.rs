//! A screen that nobody looks at: an X server of its own, what windows are on it, and a picture of it.
//!
//! There is no window manager. What one would ask of an application is asked here in its place, in the words of its
//! protocol: a window is closed by `WM_DELETE_WINDOW`, and what lies in front is the topmost of the server's own list.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use tempfile::TempDir;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, ImageFormat, MapState,
    Window,
};
use x11rb::rust_connection::RustConnection;

use crate::process::{Process, Stdin};

/// Width, height and depth. Room for a window of the usual size and a notification beside it.
const SIZE: &str = "1280x1000x24";
/// Longer than any title here, in words of four bytes.
const TITLE_LENGTH: u32 = 256;

/// A window as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnScreen {
    /// What its title bar would say.
    pub title: String,
    /// Whether it is shown, and not just kept.
    pub shown: bool,
    id: Window,
}

/// An X server. Ends when dropped.
pub(super) struct Screen {
    number: u16,
    connection: RustConnection,
    root: Window,
    utf8_title: Atom,
    protocols: Atom,
    delete: Atom,
    server: Process,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Killed, it would leave its lock and its socket in /tmp. It is quick; who is not is killed.
        self.server.terminate();
        let lock = format!("/tmp/.X{}-lock", self.number);
        for _ in 0..10_000 {
            if !Path::new(&lock).exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

impl Screen {
    /// Starts one on a number that the server itself finds free.
    pub(super) async fn start() -> Self {
        let folder = TempDir::new().expect("a folder for the screen");
        let environment = [
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), folder.path().into()),
        ];
        let arguments = [
            "-displayfd",
            "1",
            "-screen",
            "0",
            SIZE,
            "-nolisten",
            "tcp",
            "-noreset",
        ];
        let mut server = Process::start(Path::new("Xvfb"), &arguments, environment, Stdin::Empty);
        server.keep(folder);
        let number = server
            .line()
            .await
            .trim()
            .parse()
            .expect("a display's number");
        let (connection, screen) = RustConnection::connect(Some(&format!(":{number}")))
            .expect("the screen that was just started can be reached");
        let root = connection.setup().roots[screen].root;
        let atom = |name: &str| {
            let asked = connection.intern_atom(false, name.as_bytes());
            let reply = asked.ok().and_then(|asked| asked.reply().ok());
            reply.expect("the screen knows a name").atom
        };
        let (utf8_title, protocols, delete) = (
            atom("_NET_WM_NAME"),
            atom("WM_PROTOCOLS"),
            atom("WM_DELETE_WINDOW"),
        );
        Self {
            number,
            connection,
            root,
            utf8_title,
            protocols,
            delete,
            server,
        }
    }

    /// The value for `DISPLAY`.
    pub(super) fn display(&self) -> String {
        format!(":{}", self.number)
    }

    /// A number that no other screen of this machine has, as long as this one lives.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// The windows with a title that are an application's own, from the lowest to the topmost.
    pub(super) fn windows(&self) -> Vec<OnScreen> {
        let tree = self
            .connection
            .query_tree(self.root)
            .expect("the screen listens");
        let children = tree.reply().expect("the screen answers").children;
        // One that has gone in between is not there.
        children
            .into_iter()
            .filter_map(|id| self.look_at(id))
            .collect()
    }

    fn look_at(&self, id: Window) -> Option<OnScreen> {
        let attributes = self
            .connection
            .get_window_attributes(id)
            .ok()?
            .reply()
            .ok()?;
        if attributes.override_redirect {
            return None;
        }
        let title = self
            .connection
            .get_property(false, id, self.utf8_title, AtomEnum::ANY, 0, TITLE_LENGTH)
            .ok()?
            .reply()
            .ok()?;
        let title = String::from_utf8_lossy(&title.value).into_owned();
        (!title.is_empty()).then_some(OnScreen {
            title,
            shown: attributes.map_state == MapState::VIEWABLE,
            id,
        })
    }

    /// Asks a window to close, as its title bar's button does.
    pub(super) fn close(&self, window: &OnScreen) {
        let data = [self.delete, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window.id, self.protocols, data);
        self.connection
            .send_event(false, window.id, EventMask::NO_EVENT, message)
            .expect("the screen listens");
        self.connection.flush().expect("the screen listens");
    }

    /// Which window the keyboard goes to.
    pub(super) fn has_keyboard(&self, window: &OnScreen) -> bool {
        let focus = self
            .connection
            .get_input_focus()
            .expect("the screen listens");
        let mut focus = focus.reply().expect("the screen answers").focus;
        // The application may give it to a window within its window.
        while focus > u32::from(x11rb::protocol::xproto::InputFocus::POINTER_ROOT) {
            if focus == window.id {
                return true;
            }
            let tree = self
                .connection
                .query_tree(focus)
                .ok()
                .and_then(|asked| asked.reply().ok());
            focus = tree.map_or(0, |tree| tree.parent);
        }
        false
    }

    /// Leaves a picture of all of it as a PNG file.
    pub(super) fn picture(&self, file: &Path) {
        let size = self
            .connection
            .get_geometry(self.root)
            .expect("the screen listens");
        let size = size.reply().expect("the screen answers");
        let (width, height) = (size.width, size.height);
        let image = self
            .connection
            .get_image(
                ImageFormat::Z_PIXMAP,
                self.root,
                0,
                0,
                width,
                height,
                u32::MAX,
            )
            .expect("the screen listens");
        let image = image.reply().expect("the screen answers");
        // At this depth a pixel is blue, green, red and a byte of nothing.
        let pixels: Vec<u8> = image
            .data
            .chunks_exact(4)
            .flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])
            .collect();
        let file = BufWriter::new(File::create(file).expect("a picture's file"));
        let mut picture = png::Encoder::new(file, width.into(), height.into());
        picture.set_color(png::ColorType::Rgb);
        let mut writer = picture.write_header().expect("a picture can be begun");
        writer
            .write_image_data(&pixels)
            .expect("a picture can be written");
    }
}
