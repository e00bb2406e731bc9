//! Secrets: read from files and from the environment, and never shown.

use std::io::Read;
use std::path::PathBuf;

use super::KIB;
use super::form::Text;
use super::resolve::{PrivateKey, Secret};
use super::resolver::Resolver;
use super::section::Written;

/// Largest secret that is read; an RSA key of 16,384 bits has 13 KiB.
const SECRET_BYTES_MAX: u64 = 64 * KIB;

impl Resolver<'_> {
    pub(super) fn private_key(&mut self, file: &Written<PathBuf>, passphrase: Option<Secret>) -> Option<PrivateKey> {
        let text = self.secret_file("private_key_file", file)?;
        let wanted = if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
            Some("is a public key; name the private one, the file without `.pub`")
        } else if text.starts_with("PuTTY-User-Key-File") {
            Some("is in PuTTY's form; `puttygen KEY -O private-openssh -o NEW` converts it")
        } else if !text.contains("-----BEGIN ") {
            Some("holds no private key: `-----BEGIN …` is wanted")
        } else {
            None
        };
        if let Some(wanted) = wanted {
            self.problem(
                &file.place,
                format!("`private_key_file`: `{}` {wanted}", file.value.display()),
            );
            return None;
        }
        Some(PrivateKey {
            path: file.value.clone(),
            text: Secret::new(text),
            passphrase,
        })
    }

    /// A secret from a file or from a variable, not both.
    pub(super) fn secret(
        &mut self,
        what: &str,
        file: &Option<Written<PathBuf>>,
        variable: &Option<Written<Text>>,
    ) -> Option<Secret> {
        match (file, variable) {
            (None, None) => None,
            (Some(_), Some(variable)) => {
                self.problem(
                    &variable.place,
                    format!("`{what}_file` and `{what}_env` are both given; leave one out"),
                );
                None
            }
            (Some(file), None) => {
                let text = self.secret_file(&format!("{what}_file"), file)?;
                // Editors and `echo` end a file with a line end; no password does.
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    self.problem(
                        &file.place,
                        format!("`{what}_file`: `{}` is empty", file.value.display()),
                    );
                }
                Some(Secret::new(text))
            }
            (None, Some(variable)) => {
                match self.environment.get(&variable.value.0).filter(|text| !text.is_empty()) {
                    Some(text) => Some(Secret::new(text)),
                    None => {
                        self.problem(
                        &variable.place,
                        format!("`{what}_env`: the variable it names is not set, or empty (it wants a name, not the secret)"),
                    );
                        None
                    }
                }
            }
        }
    }

    fn secret_file(&mut self, key: &str, file: &Written<PathBuf>) -> Option<String> {
        let mut text = String::new();
        let result =
            std::fs::File::open(&file.value).and_then(|open| open.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
        let why = match result {
            Ok(_) if text.len() as u64 <= SECRET_BYTES_MAX => return Some(text),
            Ok(_) => format!("larger than {SECRET_BYTES_MAX} bytes; no secret is"),
            Err(error) => error.to_string(),
        };
        self.problem(
            &file.place,
            format!("`{key}`: reading `{}`: {why}", file.value.display()),
        );
        None
    }
}
