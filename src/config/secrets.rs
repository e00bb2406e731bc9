//! What is read from files and from the environment: secrets, which are never shown, and certificates.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::form::Text;
use super::resolve::{PrivateKey, Secret};
use super::resolver::Resolver;
use super::section::Written;
use super::{KIB, MIB};

/// Largest secret that is read; an RSA key of 16,384 bits has 13 KiB.
const SECRET_BYTES_MAX: u64 = 64 * KIB;

/// Most bytes of certificates that are read; the whole of a system's trusted roots has 220 KiB.
const CERTIFICATES_BYTES_MAX: u64 = 4 * MIB;

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
            (Some(file), None) => self.secret_line(&format!("{what}_file"), file),
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

    /// A secret that is the whole of a file.
    pub(super) fn secret_line(&mut self, key: &str, file: &Written<PathBuf>) -> Option<Secret> {
        let text = self.secret_file(key, file)?;
        // Editors and `echo` end a file with a line end; no password does.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            self.problem(&file.place, format!("`{key}`: `{}` is empty", file.value.display()));
            return None;
        }
        Some(Secret::new(text))
    }

    /// Certificates in PEM form, from a file that holds nothing secret.
    pub(super) fn certificates(&mut self, key: &str, file: &Written<PathBuf>) -> Option<String> {
        let text = match text_of(&file.value, CERTIFICATES_BYTES_MAX) {
            Ok(text) => text,
            Err(why) => {
                let path = file.value.display();
                self.problem(&file.place, format!("`{key}`: reading `{path}`: {why}"));
                return None;
            }
        };
        let wanted = if text.contains("PRIVATE KEY-----") {
            "holds a private key; name a file that holds certificates alone"
        } else if !text.contains("-----BEGIN CERTIFICATE-----") {
            "holds no certificate: `-----BEGIN CERTIFICATE-----` is wanted"
        } else {
            return Some(text);
        };
        self.problem(&file.place, format!("`{key}`: `{}` {wanted}", file.value.display()));
        None
    }

    fn secret_file(&mut self, key: &str, file: &Written<PathBuf>) -> Option<String> {
        let why = match text_of(&file.value, SECRET_BYTES_MAX) {
            Ok(text) => return Some(text),
            Err(why) => why,
        };
        // Somebody may have put the secret itself where the name of its file belongs; a path is known by how it begins.
        let message = if file.value.is_absolute() || file.value.starts_with(".") {
            format!("`{key}`: reading `{}`: {why}", file.value.display())
        } else {
            format!("`{key}`: reading the file it names: {why} (it wants a file's name, not the secret)")
        };
        self.problem(&file.place, message);
        None
    }
}

/// The text of a file, or why there is none.
fn text_of(path: &Path, bytes_max: u64) -> Result<String, String> {
    let mut text = String::new();
    let result = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text));
    match result {
        Ok(_) if text.len() as u64 <= bytes_max => Ok(text),
        Ok(_) => Err(format!("larger than {bytes_max} bytes, and so not what belongs here")),
        Err(error) => Err(error.to_string()),
    }
}
