//! Any bytes as what an SFTP server sends: cut into packets, and the packets read.

use feedgate::fuzzing::packets;

use super::may_be_shown;

/// Reads them whole and in pieces, and holds the packets against a count by hand.
pub fn run(bytes: &[u8]) {
    let whole = packets(bytes, 128 * 1024);
    for size in [1, 5, 1000] {
        // A text in an error shows what had come by then.
        let pieces = packets(bytes, size);
        assert_eq!(pieces.replies, whole.replies, "in pieces of {size}");
        assert_eq!(pieces.error.is_some(), whole.error.is_some(), "in pieces of {size}");
        pieces.error.iter().for_each(|error| may_be_shown(error));
    }
    whole.replies.iter().for_each(|reply| assert!(!reply.is_empty()));
    whole.error.iter().for_each(|error| {
        may_be_shown(error);
        assert!(error.len() < 2_000, "{error}");
    });
    whole.messages.iter().for_each(|message| may_be_shown(message));

    let (mut rest, mut count) = (bytes, 0);
    while let Some((len, packet)) = rest
        .split_first_chunk()
        .map(|(len, rest)| (u32::from_be_bytes(*len), rest))
    {
        let Some(after) = packet.get(len as usize..).filter(|_| len > 0) else {
            break;
        };
        (rest, count) = (after, count + 1);
    }
    assert!(whole.replies.len() <= count);
    assert!(whole.error.is_some() || whole.replies.len() == count);
}
