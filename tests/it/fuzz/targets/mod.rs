//! What is fuzzed: for each room that strangers' bytes reach, a function that takes any bytes and panics if the room does
//! what it must not.
//!
//! Called twice over: by libFuzzer for hours (`tests/fuzz`), and by the ordinary tests for seconds (`tests/it/fuzz.rs`). So
//! nothing here knows either of them, and everything depends on the bytes alone.

pub mod archive; // whole archives: the end, the rules, the data
pub mod config; // the file and the variables over it
pub mod feed; // the JSON array, against serde_json
pub mod names; // names in the root
pub mod session; // a whole SFTP client, and a server that says anything
pub mod sftp; // SFTP packets
pub mod times; // times, against chrono
pub mod unpack; // packed data, for every method
pub mod upload; // honest archives, cut anywhere

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Target] = &[
    ("archive", archive::run),
    ("config", config::run),
    ("feed", feed::run),
    ("names", names::run),
    ("session", session::run),
    ("sftp", sftp::run),
    ("times", times::run),
    ("unpack", unpack::run),
    ("upload", upload::run),
];

/// Holds that a text may be shown to anybody: nothing in it moves a cursor, ends a line or turns the writing round.
#[track_caller]
fn may_be_shown(text: &str) {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let wrong = text.chars().find(|&c| c.is_control() || turns(c));
    assert_eq!(wrong, None, "unescaped in {text:?}");
}
