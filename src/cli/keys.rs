//! `feedgate keys URL`: what is printed. The keys come from [`crate::source::host_keys`].

use serde_json::{Value, json};

use crate::source::{SeenKey, host_key_line};

/// The keys of a server for people, and the line that trusts the best of them.
pub fn text(host: &str, port: u16, keys: &[SeenKey]) -> String {
    let width = keys.iter().map(|key| key.kind.len()).max().unwrap_or(0);
    let mut text = format!("{host}:{port} shows these host keys:\n\n");
    for key in keys {
        text.push_str(&format!("  {:width$}  {}\n", key.kind, key.fingerprint));
    }
    if let Some(best) = keys.first() {
        text.push_str(&format!(
            "\nThey are only as good as the line they came over: ask whoever runs the server which is right. There, this\n\
             shows them:\n\n  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf \"$key\"; done\n\n\
             Then write into the source:\n\n  {}\n",
            host_key_line(best)
        ));
    }
    text
}

/// The same for programs: `{"host", "port", "keys": [{"type", "fingerprint", "key", "line"}]}`, best key first.
pub fn json(host: &str, port: u16, keys: &[SeenKey]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({
                "type": key.kind,
                "fingerprint": key.fingerprint,
                "key": format!("{} {}", key.kind, key.base64),
                "line": host_key_line(key),
            })
        })
        .collect();
    json!({ "host": host, "port": port, "keys": keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<SeenKey> {
        let key = |kind: &str, letter: &str| SeenKey {
            kind: kind.to_string(),
            fingerprint: format!("SHA256:{}", letter.repeat(43)),
            base64: letter.repeat(68),
        };
        vec![key("ssh-ed25519", "e"), key("ecdsa-sha2-nistp256", "c")]
    }

    #[test]
    fn the_text_ends_with_the_line_to_write() {
        let text = text("sftp.example.com", 22, &keys());
        assert!(
            text.starts_with("sftp.example.com:22 shows these host keys:\n\n  ssh-ed25519          SHA256:eee"),
            "{text}"
        );
        assert!(text.contains("\n  ecdsa-sha2-nistp256  SHA256:ccc"), "{text}");
        assert!(
            text.ends_with(&format!("\n  host_key = \"SHA256:{}\"\n", "e".repeat(43))),
            "{text}"
        );
    }

    #[test]
    fn the_json_has_every_key_whole() {
        let json = json("sftp.example.com", 22, &keys());
        assert_eq!(json["host"], "sftp.example.com");
        assert_eq!(json["port"], 22);
        assert_eq!(json["keys"][1]["type"], "ecdsa-sha2-nistp256");
        assert_eq!(
            json["keys"][1]["key"],
            format!("ecdsa-sha2-nistp256 {}", "c".repeat(68))
        );
        assert_eq!(
            json["keys"][0]["line"],
            format!("host_key = \"SHA256:{}\"", "e".repeat(43))
        );
    }
}
