//! A server of HTTP/2 that goes frame by frame (RFC 9113 §4.1): refusing and leaving in the middle of calls is what
//! libraries do not let a server do on purpose.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;

use super::Proof;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// Of HEADERS and DATA.
const END_STREAM: u8 = 0x1;
/// Of HEADERS.
const END_HEADERS: u8 = 0x4;
/// Of SETTINGS and PING.
const ACK: u8 = 0x1;

const REFUSED_STREAM: u32 = 0x7;
/// `:status: 200`, by its place in the table that HPACK begins with (RFC 7541 A).
const STATUS_200: u8 = 0x88;

/// What it does once, as soon as so many calls are there at once, behind the first one and on whatever connections.
/// Everything else it answers.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    /// Refuses them.
    Refuses {
        /// So many.
        calls: usize,
    },
    /// Goes away, and answers the first half of those on each connection all the same.
    Leaves {
        /// So many.
        calls: usize,
    },
    /// Closes the connection and says nothing.
    Vanishes {
        /// So many.
        calls: usize,
    },
}

impl Mood {
    fn calls(self) -> usize {
        match self {
            Self::Refuses { calls } | Self::Leaves { calls } | Self::Vanishes { calls } => calls,
        }
    }
}

#[derive(Default)]
struct Counts {
    came: AtomicUsize,
    answered: AtomicUsize,
    /// Whether all calls are there that it waits for.
    all_there: watch::Sender<bool>,
}

/// A server that ends with this.
pub struct Framed {
    port: u16,
    counts: Arc<Counts>,
    serving: JoinHandle<()>,
}

impl Drop for Framed {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Framed {
    /// Starts one in that mood.
    pub async fn start(proof: &Proof, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let counts = Arc::new(Counts::default());
        let (acceptor, shared) = (proof.acceptor(&["h2"]), Arc::clone(&counts));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await?;
                    // The other side ends it when it likes.
                    let read = BytesMut::new();
                    let conversation = Conversation {
                        stream,
                        read,
                        counts,
                    };
                    conversation.hold(mood).await
                });
            }
        });
        Self {
            port,
            counts,
            serving,
        }
    }

    /// Its base.
    pub fn base(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// How many calls came whole.
    pub fn came(&self) -> usize {
        self.counts.came.load(Ordering::SeqCst)
    }

    /// How many were answered.
    pub fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::SeqCst)
    }
}

struct Conversation {
    stream: TlsStream<TcpStream>,
    /// What has come and is no whole frame yet.
    read: BytesMut,
    counts: Arc<Counts>,
}

impl Conversation {
    async fn hold(mut self, mood: Mood) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface).await?;
        assert_eq!(preface, PREFACE);
        self.write(SETTINGS, 0, 0, &[]).await?;
        let mut all_there = self.counts.all_there.subscribe();
        let mut held = Vec::new();
        loop {
            while let Some((kind, flags, stream, payload)) = self.frame() {
                match kind {
                    SETTINGS if flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await?,
                    PING if flags & ACK == 0 => self.write(PING, ACK, 0, &payload).await?,
                    HEADERS | DATA if flags & END_STREAM != 0 => {
                        let number = self.counts.came.fetch_add(1, Ordering::SeqCst);
                        if (1..=mood.calls()).contains(&number) {
                            held.push(stream);
                        } else {
                            self.answer(stream).await?;
                        }
                        if number == mood.calls() {
                            self.counts.all_there.send_replace(true);
                        }
                    }
                    _ => {}
                }
            }
            let all = async { all_there.wait_for(|there| *there).await.map(drop) };
            let is_time = tokio::select! {
                read = self.stream.read_buf(&mut self.read) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    false
                }
                all = all, if !held.is_empty() => all.is_ok(),
            };
            if is_time && !self.act(mood, &std::mem::take(&mut held)).await? {
                return Ok(());
            }
        }
    }

    /// Does what it is in the mood for. Whether the connection goes on.
    async fn act(&mut self, mood: Mood, held: &[u32]) -> io::Result<bool> {
        match mood {
            Mood::Refuses { .. } => {
                for stream in held {
                    let code = REFUSED_STREAM.to_be_bytes();
                    self.write(RST_STREAM, 0, *stream, &code).await?;
                }
            }
            Mood::Leaves { .. } => {
                let (taken, _left) = held.split_at(held.len() / 2);
                let last = taken.last().copied().unwrap_or_default().to_be_bytes();
                self.write(GOAWAY, 0, 0, &[last, [0; 4]].concat()).await?;
                for stream in taken {
                    self.answer(*stream).await?;
                }
            }
            Mood::Vanishes { .. } => return Ok(false),
        }
        Ok(true)
    }

    async fn answer(&mut self, stream: u32) -> io::Result<()> {
        self.counts.answered.fetch_add(1, Ordering::SeqCst);
        let flags = END_STREAM | END_HEADERS;
        self.write(HEADERS, flags, stream, &[STATUS_200]).await
    }

    /// The next frame that has come whole.
    fn frame(&mut self) -> Option<(u8, u8, u32, Bytes)> {
        let &[long, mid, short, kind, flags, a, b, c, d] = self.read.first_chunk()?;
        let length = u32::from_be_bytes([0, long, mid, short]);
        let end = 9 + usize::try_from(length).expect("it fits");
        if self.read.len() < end {
            return None;
        }
        let mut frame = self.read.split_to(end);
        frame.advance(9);
        Some((
            kind,
            flags,
            u32::from_be_bytes([a, b, c, d]),
            frame.freeze(),
        ))
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("it is short");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await
    }
}
