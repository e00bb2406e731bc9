//! Text that is gathered in small pieces of memory, all of one size.
//!
//! Hundreds of texts grow by turns here, and each is let go when it is the largest. If each lay in one piece it would have
//! to move as it grows, with up to twice the room it needs, and leave gaps behind that no other fits into.

/// Size of a piece in bytes. Half of one is wasted for each text: with thousands of them, larger ones would be mostly empty.
pub(super) const PIECE_BYTES: usize = 512;

/// A text that grows.
#[derive(Default)]
pub(super) struct Text {
    /// All but the last are full.
    pieces: Vec<Box<[u8]>>,
    len: usize,
}

impl Text {
    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many pieces of memory it takes.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Appends to it.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.len % PIECE_BYTES;
            if used == 0 {
                self.pieces.push(Box::new([0; PIECE_BYTES]));
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - used));
            if let Some(last) = self.pieces.last_mut() {
                last[used..used + now.len()].copy_from_slice(now);
            }
            self.len += now.len();
            bytes = later;
        }
    }

    /// It, in parts that follow one another.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut left = self.len;
        self.pieces.iter().map(move |piece| {
            let part = &piece[..left.min(PIECE_BYTES)];
            left -= part.len();
            part
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lengths: &[usize], pieces: usize) {
        let mut text = Text::default();
        let mut expected = Vec::new();
        for (number, &length) in lengths.iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|at| (number + at) as u8).collect();
            text.push(&bytes);
            expected.extend(bytes);
        }
        assert_eq!((text.len(), text.pieces()), (expected.len(), pieces), "{lengths:?}");
        assert!(text.parts().all(|part| !part.is_empty()), "{lengths:?}");
        assert_eq!(text.parts().collect::<Vec<_>>().concat(), expected, "{lengths:?}");
    }

    #[test]
    fn comes_out_as_it_went_in() {
        check(&[], 0);
        check(&[0], 0);
        check(&[1], 1);
        check(&[PIECE_BYTES], 1);
        check(&[PIECE_BYTES, 0], 1);
        check(&[PIECE_BYTES, 1], 2);
        check(&[PIECE_BYTES - 1, 2], 2);
        check(&[1, PIECE_BYTES - 1, 1], 2);
        check(&[300, 300, 300], 2);
        check(&[10 * PIECE_BYTES + 7], 11);
        check(&[7, 10 * PIECE_BYTES], 11);
    }
}
