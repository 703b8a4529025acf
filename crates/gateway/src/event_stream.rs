//! Server-sent events, read as they arrive and passed on as they were.
//!
//! Only the data of an event is ever replaced; its identifier, its kind, the time to wait, comments and fields that
//! are not known pass byte for byte. The blank line that ends an event is written as its last line ends, as whether a
//! carriage return has a line feed behind it can be told only after the event has to be passed on.

use bytes::{Buf as _, Bytes, BytesMut};

/// The largest event: a file that a tool reads stands in one, in base64.
pub const MOST_EVENT: usize = 16 * 1024 * 1024;

/// An event, or what stands where one could: comments alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its lines, with their ends.
    lines: Bytes,
}

impl Event {
    /// An event of this data alone.
    #[must_use]
    pub fn of(data: &str) -> Self {
        let mut lines = String::from("event: message\n");
        for line in data.lines() {
            lines.push_str("data: ");
            lines.push_str(line);
            lines.push('\n');
        }
        Self {
            lines: Bytes::from(lines),
        }
    }

    /// A field's last value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let found = self.fields().filter(|(own, _)| *own == name.as_bytes());
        found
            .last()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Its data; nothing where it has none, or none that is text.
    #[must_use]
    pub fn data(&self) -> Option<String> {
        let mut lines = self
            .fields()
            .filter(|(name, _)| *name == b"data")
            .map(|(_, value)| value);
        let mut data = lines.next()?.to_vec();
        for line in lines {
            data.push(b'\n');
            data.extend_from_slice(line);
        }
        String::from_utf8(data).ok().filter(|data| !data.is_empty())
    }

    /// The same event with other data.
    #[must_use]
    pub fn with_data(&self, data: &str) -> Self {
        let mut lines = BytesMut::with_capacity(data.len() + 64);
        let mut is_written = false;
        for line in split_lines(&self.lines) {
            if field(line).is_none_or(|(name, _)| name != b"data") {
                lines.extend_from_slice(line);
            } else if !is_written {
                is_written = true;
                for part in data.split('\n') {
                    lines.extend_from_slice(b"data: ");
                    lines.extend_from_slice(part.as_bytes());
                    lines.extend_from_slice(b"\n");
                }
            }
        }
        Self {
            lines: lines.freeze(),
        }
    }

    /// The event as it is sent.
    #[must_use]
    pub fn write(&self) -> Bytes {
        // A line feed alone would belong to a carriage return that stands last.
        let blank: &[u8] = if self.lines.ends_with(b"\n") && !self.lines.ends_with(b"\r\n") {
            b"\n"
        } else {
            b"\r\n"
        };
        let mut bytes = BytesMut::with_capacity(self.lines.len() + blank.len());
        bytes.extend_from_slice(&self.lines);
        bytes.extend_from_slice(blank);
        bytes.freeze()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        split_lines(&self.lines).filter_map(field)
    }
}

fn split_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = rest.split_at(line_length(rest).unwrap_or(rest.len()));
        rest = after;
        Some(line)
    })
}

/// The length of the first line with its end; nothing where it has not ended.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let is_pair = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
    Some(end + 1 + usize::from(is_pair))
}

/// A line's field and value; nothing for a comment or an empty line.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let end = line.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let line = &line[..end.unwrap_or(line.len())];
    let (name, value) = match line.iter().position(|byte| *byte == b':') {
        Some(colon) => (&line[..colon], &line[colon + 1..]),
        None => (line, &line[line.len()..]),
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    (!name.is_empty()).then_some((name, value))
}

/// May stand once, before the first line of a stream.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// An event is larger than a door can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Reads events from pieces of a stream, however it was cut.
#[derive(Debug, Default)]
pub struct Reader {
    kept: BytesMut,
    /// Up to where the kept bytes were looked at: the beginning of a line that has not ended.
    seen: usize,
    /// Up to where that line was looked at.
    scanned: usize,
    /// Whether the last event ended with a carriage return, to which a line feed may belong.
    after_return: bool,
}

impl Reader {
    /// Takes a piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(piece);
    }

    /// The next event that has arrived whole.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        loop {
            if self.after_return && !self.kept.is_empty() {
                self.after_return = false;
                if self.kept[0] == b'\n' {
                    self.kept.advance(1);
                }
            }
            let found = self.kept[self.scanned..]
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'));
            let Some(found) = found else {
                self.scanned = self.kept.len();
                return self.bounded();
            };
            let end = self.scanned + found;
            let is_return = self.kept[end] == b'\r';
            if end == self.seen {
                let lines = self.kept.split_to(end).freeze();
                self.kept.advance(1);
                (self.seen, self.scanned, self.after_return) = (0, 0, is_return);
                // Nothing stands between two blank lines.
                if !lines.is_empty() {
                    return Ok(Some(Event { lines }));
                }
            } else if is_return && end + 1 == self.kept.len() {
                // Whether a line feed belongs to it is told by what comes next.
                self.scanned = end;
                return self.bounded();
            } else {
                let is_pair = is_return && self.kept[end + 1] == b'\n';
                self.seen = end + 1 + usize::from(is_pair);
                self.scanned = self.seen;
            }
        }
    }

    fn bounded(&self) -> Result<Option<Event>, TooLarge> {
        if self.kept.len() > MOST_EVENT {
            Err(TooLarge)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(event) = reader.next_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn everything_but_the_data_passes_as_it_was() {
        let text = ": hello\r\nid: 7\r\nretry: 3000\r\nfuture: x\r\ndata: {\"a\":1}\r\n\r\n";
        let events = read(&[text.as_bytes()]);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].data().as_deref(), Some("{\"a\":1}"));
        assert_eq!(events[0].field("id").as_deref(), Some("7"));
        assert_eq!(
            events[0].write(),
            ": hello\r\nid: 7\r\nretry: 3000\r\nfuture: x\r\ndata: {\"a\":1}\r\n\r\n"
        );
        assert_eq!(
            events[0].with_data("{}").write(),
            ": hello\r\nid: 7\r\nretry: 3000\r\nfuture: x\r\ndata: {}\n\n"
        );
    }

    #[test]
    fn data_of_several_lines_is_one() {
        let events = read(&[b"data: a\ndata\ndata:b\n\n: ping\n\ndata\n\n"]);
        assert_eq!(events[0].data().as_deref(), Some("a\n\nb"));
        assert_eq!(events[1].data(), None, "a comment alone");
        assert_eq!(events[2].data(), None, "an event that only begins a stream");
        assert_eq!(
            events[0].with_data("x\ny").write(),
            "data: x\ndata: y\n\n",
            "and written as lines again"
        );
    }

    #[test]
    fn an_event_without_end_is_an_error_and_not_all_of_the_memory() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; 1024 * 1024];
        let mut refused = false;
        for _ in 0..20 {
            reader.push(&piece);
            refused = reader.next_event().is_err();
            if refused {
                break;
            }
        }
        assert!(refused);
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_its_events_are_the_same(
            lines in prop::collection::vec(("(data|id|event|x|)", "(:| |a|é|\\{\\}){0,4}", "(\n|\r|\r\n)", 1..3usize), 0..12),
            cuts in prop::collection::vec(0..200usize, 0..12),
        ) {
            let mut text = String::new();
            for (name, value, end, times) in &lines {
                text.push_str(name);
                text.push_str(value);
                for _ in 0..*times {
                    text.push_str(end);
                }
            }
            text.push_str("data: end\n\n");
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            let whole = read(&[bytes]);
            prop_assert!(!whole.is_empty());
            prop_assert_eq!(&read(&pieces), &whole);
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&read(&bytewise), &whole);
            let again: Vec<u8> = whole.iter().flat_map(Event::write).collect();
            prop_assert_eq!(read(&[&again]), whole);
        }
    }
}
