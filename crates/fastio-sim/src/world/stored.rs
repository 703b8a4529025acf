//! The bytes of files: kept, or computed.
//!
//! A test that sends a gigabyte through a proxy must not need a gigabyte at either end. So a file may
//! be a pattern: one block that is computed once and repeats. Its length is a prime, so what is
//! shifted, repeated or missing by anything that programs cut bodies into shows.

use std::sync::LazyLock;

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

/// The length of the block: a prime just below a mebibyte.
const PERIOD: usize = 1_048_573;

static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    let mut block = BytesMut::with_capacity(PERIOD + 8);
    let mut word: u64 = 0;
    while block.len() < PERIOD {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        block.put_u64(word ^ (word >> 29));
    }
    block.truncate(PERIOD);
    block.freeze()
});

/// `length` bytes of the pattern from `from` on.
#[must_use]
pub fn pattern(from: u64, length: usize) -> Bytes {
    // The remainder is smaller than the period, which fits.
    let mut start = usize::try_from(from % PERIOD as u64).unwrap_or(0);
    if start + length <= PERIOD {
        return BLOCK.slice(start..start + length);
    }
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        let taken = (length - bytes.len()).min(PERIOD - start);
        bytes.extend_from_slice(&BLOCK[start..start + taken]);
        start = 0;
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_the_pattern_fit_together_wherever_they_are_cut() {
        let whole = pattern(0, 100);
        let pieces = [pattern(0, 13), pattern(13, 30), pattern(43, 57)].concat();
        assert_eq!(pieces, whole);
        let across = PERIOD as u64 - 5;
        let pieces = [pattern(across, 5), pattern(0, 7)].concat();
        assert_eq!(pattern(across, 12), pieces);
    }
}
