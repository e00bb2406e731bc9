//! Key pairs and passwords, made on the spot and good for one run.

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::rand_core::Rng;
use russh::keys::{HashAlg, PrivateKey, PublicKey};

/// An Ed25519 key pair.
#[derive(Clone)]
pub struct KeyPair(PrivateKey);

impl KeyPair {
    /// A fresh pair; the comment stands at the end of its public half.
    pub fn generate(comment: &str) -> KeyPair {
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&random()));
        KeyPair(PrivateKey::new(pair, comment).expect("an Ed25519 pair made of a seed is whole"))
    }

    /// The private half, in the form of OpenSSH's `id_ed25519`.
    pub fn private_openssh(&self) -> String {
        let text = self
            .0
            .to_openssh(LineEnding::LF)
            .expect("an unencrypted key can be written");
        text.to_string()
    }

    /// The public half, in the form of a line of `authorized_keys`.
    pub fn public_openssh(&self) -> String {
        self.0.public_key().to_openssh().expect("a public key can be written")
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(super) fn public(&self) -> &PublicKey {
        self.0.public_key()
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.0
    }
}

/// A password of 20 characters that are easily told apart, about 96 bits.
pub fn password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 20] = random();
    bytes
        .iter()
        .map(|byte| ALPHABET[usize::from(byte % 32)] as char)
        .collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    safe_rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_differ() {
        let (one, two) = (KeyPair::generate("one"), KeyPair::generate("two"));
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert!(one.fingerprint().starts_with("SHA256:"));
        assert!(one.public_openssh().starts_with("ssh-ed25519 AAAA") && one.public_openssh().ends_with(" one"));
        let read = PrivateKey::from_openssh(one.private_openssh()).unwrap();
        assert_eq!(read.public_key(), one.public());
    }

    #[test]
    fn passwords_differ() {
        assert_eq!(password().len(), 20);
        assert_ne!(password(), password());
    }
}
