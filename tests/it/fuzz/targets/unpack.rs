//! Any bytes as the packed data of a member, around which everything else is right: the decoders of every method, reached
//! at once instead of behind a directory that must be guessed first.
//!
//! The first byte chooses the method, the second how the member is written, two more the size where nobody else knows it.

use std::io::Read;

use super::archive::{self, LIMITS};
use crate::house::archives::{Archive, Member};

const METHODS: [u16; 7] = [0, 8, 9, 12, 14, 93, 95];

/// Flag 1: packed by LZMA, with a marker at the end.
const END_MARKER: u16 = 1 << 1;

/// Holds that packed data is unpacked as a plain decoder does, or refused.
pub fn run(bytes: &[u8]) {
    let Some((&[method, how, low, high], packed)) = bytes.split_first_chunk() else {
        return;
    };
    let method = METHODS[usize::from(method) % METHODS.len()];
    let plain = plainly(method, packed);
    let data = plain.clone().unwrap_or_default();
    let mut member = Member::raw(archive::name().member(), method, packed.to_vec(), &data);
    if plain.is_none() {
        member.both(|header| header.size = u32::from(u16::from_le_bytes([low, high])));
    }
    if method == 14 && how & 1 != 0 {
        member.both(|header| header.flags |= END_MARKER);
    }
    if how & 2 != 0 {
        member.streamed(true, how & 4 != 0);
    }
    let file = Archive::empty().member(member).bytes();
    archive::run(&file);
    if let (Some(plain), Ok((_, ours))) = (plain, archive::import(&file)) {
        assert!(ours == Some(plain), "unpacked to other bytes");
    }
}

/// What a plain decoder makes of it, with no bound but on the length; `None` where it fails, or where only our own bounds
/// keep the decoder from taking all the memory there is.
fn plainly(method: u16, packed: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let most = LIMITS.unpacked_bytes;
    match method {
        0 => return Some(packed.to_vec()),
        8 => flate2::read::DeflateDecoder::new(packed)
            .take(most)
            .read_to_end(&mut data),
        9 => deflate64::Deflate64Decoder::new(packed)
            .take(most)
            .read_to_end(&mut data),
        12 => bzip2::read::BzDecoder::new(packed).take(most).read_to_end(&mut data),
        _ => return None,
    }
    .ok()?;
    Some(data)
}
