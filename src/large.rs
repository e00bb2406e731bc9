//! Room for what is large, which mostly is one entry of many megabytes.
//!
//! The system's allocator gives large pieces back the moment they are let go, and learns from it: a piece of 15 MB that came
//! and went is a size that it keeps from then on, in each thread anew. Only what is larger than 32 MiB it never learns from. So
//! room for something large is asked for beyond that size: what is not touched takes no memory.

/// From this size on, in bytes, something is large.
const LARGE_BYTES: usize = 1024 * 1024;

/// What the allocator never learns from, in bytes.
const APART_BYTES: usize = 33 * 1024 * 1024;

/// How much room to make for so many bytes more beside those that are held; 0 where that is nobody's concern.
pub(crate) fn room_for(held: usize, more: usize) -> usize {
    match more {
        0..LARGE_BYTES => 0,
        _ => more.max(APART_BYTES.saturating_sub(held)),
    }
}

/// Empties a buffer for the next one, and gives back what only something large needed.
pub(crate) fn clear(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(LARGE_BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_large_has_room_apart() {
        let mut buffer = Vec::new();
        buffer.reserve_exact(room_for(0, 1000));
        assert_eq!(buffer.capacity(), 0);
        buffer.extend([0; 1000]);
        buffer.reserve_exact(room_for(1000, 2 * LARGE_BYTES));
        assert!((APART_BYTES..2 * APART_BYTES).contains(&buffer.capacity()));
        assert_eq!(room_for(10, 100 * LARGE_BYTES), 100 * LARGE_BYTES);
        clear(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() < 2 * LARGE_BYTES);
    }
}
