//! Any bytes as data that is honestly packed: it comes out as it went in, and no beginning of the upload, wherever it is
//! cut, is ever both whole and importable.
//!
//! The first byte chooses the method, the second how the archive is written, the third a comment.

use feedgate::archive::{End, TAIL_BYTES};

use super::archive;
use crate::house::archives::{Archive, Member, Method, Zip64};

/// Places at which an upload is cut, beside those where something in it looks like an end.
const CUTS: usize = 50;

/// Packs, imports, cuts.
pub fn run(bytes: &[u8]) {
    let Some((&[method, how, comment], data)) = bytes.split_first_chunk() else {
        return;
    };
    let method = Method::ALL[usize::from(method) % Method::ALL.len()];
    let mut member = Member::packed_by(method, archive::name().member(), data);
    // Data that is only stored, of a length that only follows it, may hold a whole archive that begins where the upload
    // does: nobody can tell those apart, and no JSON holds one.
    if how & 1 != 0 && method != Method::Stored {
        member.streamed(how & 2 != 0, how & 4 != 0);
    }
    let upload = Archive::empty().member(member).but(|archive| {
        archive.comment = vec![b'-'; usize::from(comment)];
        if how & 8 != 0 {
            archive.end.zip64 = Some(Zip64::default());
        }
    });
    let upload = upload.bytes();
    assert_eq!(archive::end_of(&upload, TAIL_BYTES), End::Whole);
    let (contents, ours) = archive::import(&upload).expect("an honest archive");
    assert_eq!(contents.violations, []);
    assert!(ours.as_deref() == Some(data), "other data");

    let evenly = (0..CUTS).map(|nth| nth * upload.len() / CUTS);
    let ends = memchr::memmem::find_iter(&upload, b"PK\x05\x06").flat_map(|at| [at + 21, at + 22, at + 23]);
    for cut in evenly.chain(ends).filter(|&cut| cut < upload.len()) {
        let cut = &upload[..cut];
        if archive::end_of(cut, TAIL_BYTES) == End::Whole {
            assert!(
                archive::import(cut).is_err(),
                "imported when only {} bytes were there",
                cut.len()
            );
        }
    }
}
