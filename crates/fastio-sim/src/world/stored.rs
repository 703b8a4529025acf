//! The bytes of files: kept, or computed.
//!
//! A test that sends a gigabyte through a proxy must not need a gigabyte at either end. So a file may
//! be a pattern, computed where it is read: eight bytes for each position divided by eight, spread so
//! that a shifted, repeated or missing piece shows.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The bytes of one version of a file.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// Kept.
    Kept(Bytes),
    /// So many bytes of the pattern.
    Pattern(u64),
    /// So many bytes that were counted and not kept; they read as the pattern.
    Counted(u64),
}

impl From<Bytes> for Stored {
    fn from(bytes: Bytes) -> Self {
        Self::Kept(bytes)
    }
}

impl Stored {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Kept(bytes) => bytes.len() as u64,
            Self::Pattern(length) | Self::Counted(length) => *length,
        }
    }

    /// At most `most` bytes from `from` on; fewer at the end.
    pub(crate) fn piece(&self, from: u64, most: usize) -> Bytes {
        let left = usize::try_from(self.len().saturating_sub(from)).unwrap_or(usize::MAX);
        let length = left.min(most);
        match self {
            Self::Kept(bytes) => {
                let start = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(start..start + length)
            }
            Self::Pattern(_) | Self::Counted(_) => pattern(from, length),
        }
    }
}

/// `length` bytes of the pattern from `from` on.
#[must_use]
pub fn pattern(from: u64, length: usize) -> Bytes {
    let first = from / 8;
    let skipped = usize::try_from(from % 8).unwrap_or(0);
    let words = (skipped + length).div_ceil(8);
    let mut bytes = BytesMut::with_capacity(words * 8);
    for word in first..first + words as u64 {
        let mixed = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.put_u64(mixed ^ (mixed >> 29));
    }
    bytes.freeze().slice(skipped..skipped + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_the_pattern_fit_together_wherever_they_are_cut() {
        let whole = pattern(0, 100);
        let pieces = [pattern(0, 13), pattern(13, 30), pattern(43, 57)].concat();
        assert_eq!(pieces, whole);
    }
}
