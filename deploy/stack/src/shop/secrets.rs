//! Passwords and keys of one shop: made once, kept in a file that only its owner may read.

use crate::StackError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Everything secret about a shop.
#[derive(Debug)]
pub struct Secrets {
    values: BTreeMap<String, String>,
    file: PathBuf,
}

#[derive(Deserialize)]
struct Kept {
    secrets: BTreeMap<String, String>,
}

impl Secrets {
    /// Reads the file, or begins an empty set.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(file: &Path) -> Result<Self, StackError> {
        let values = match std::fs::read_to_string(file) {
            Ok(text) => {
                let kept: Kept = toml::from_str(&text)
                    .map_err(|error| StackError::file("cannot understand", file)(std::io::Error::other(error)))?;
                kept.secrets
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(StackError::file("cannot read", file)(error)),
        };
        Ok(Self { values, file: file.to_path_buf() })
    }

    /// 32 random bytes in base64url, the same at every call with that name.
    ///
    /// # Errors
    /// When the file cannot be written or the system has no randomness.
    pub fn key(&mut self, name: &str) -> Result<String, StackError> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let value = URL_SAFE_NO_PAD.encode(random::<32>()?);
        self.keep(name, value)
    }

    /// A password that a person can type.
    ///
    /// # Errors
    /// When the file cannot be written or the system has no randomness.
    pub fn password(&mut self, name: &str) -> Result<String, StackError> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        // 60 bits in letters and digits that are not mistaken for each other.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let letters = random::<12>()?.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let (a, rest) = letters.split_at(4);
        let (b, c) = rest.split_at(4);
        let value = [a, b, c].map(|part| part.iter().collect::<String>()).join("-");
        self.keep(name, value)
    }

    /// The public half of the Ed25519 seed of that name.
    ///
    /// # Errors
    /// When the file cannot be written or holds something else under that name.
    pub fn public_half(&mut self, name: &str) -> Result<String, StackError> {
        let seed = URL_SAFE_NO_PAD.decode(self.key(name)?).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let seed = seed.ok_or_else(|| {
            StackError::file("no seed of 32 bytes in", &self.file)(std::io::ErrorKind::InvalidData.into())
        })?;
        Ok(URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&seed).verifying_key().as_bytes()))
    }

    fn keep(&mut self, name: &str, value: String) -> Result<String, StackError> {
        self.values.insert(name.to_owned(), value.clone());
        let mut text =
            "# Made by `cargo xtask up` for this shop alone. Deleting it locks you out of its data.\n[secrets]\n"
                .to_owned();
        for (name, value) in &self.values {
            let _ = writeln!(text, "{name} = \"{value}\"");
        }
        write_private(&self.file, &text)?;
        Ok(value)
    }
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(file: &Path, text: &str) -> Result<(), StackError> {
    let unfinished = file.with_extension("unfinished");
    let _ = std::fs::remove_file(&unfinished);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&unfinished).and_then(|mut open| {
        open.write_all(text.as_bytes())?;
        std::fs::rename(&unfinished, file)
    });
    written.map_err(StackError::file("cannot write", file))
}

fn random<const N: usize>() -> Result<[u8; N], StackError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        StackError::file("no randomness from", Path::new("the system"))(std::io::Error::other(error.to_string()))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Secrets;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_kept_from_one_start_to_the_next_and_from_other_users() -> Result<(), Box<dyn std::error::Error>> {
        let folder = std::env::temp_dir().join(format!("bodega-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("secrets.toml");
        let mut first = Secrets::open(&file)?;
        let (key, password, public) = (first.key("guest")?, first.password("admin")?, first.public_half("identity")?);
        let mut second = Secrets::open(&file)?;
        assert_eq!((second.key("guest")?, second.password("admin")?), (key.clone(), password.clone()));
        assert_eq!(second.public_half("identity")?, public);
        assert_ne!(second.key("quote")?, key);
        assert_eq!((key.len(), password.len()), (43, 14));
        assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
