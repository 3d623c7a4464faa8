//! Password hashes: Argon2id, off the runtime's threads, few at once.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use bodega_domain::{Code, Failure, failure::Validation};
use bodega_platform::Entropy;
use tokio::sync::Semaphore;

use crate::limits::{HASHES_AT_ONCE_MAX, HASHES_WAITING_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

/// Hashes and verifies. The parameters are the crate's defaults: 19 MiB, two passes (OWASP's recommendation).
#[derive(Debug)]
pub(crate) struct Passwords {
    /// Hashes that run or wait.
    room: Semaphore,
    /// Hashes that run.
    running: Semaphore,
    /// Of a password that nobody has: what an unknown e-mail is verified against.
    nobody: String,
    entropy: Entropy,
}

/// The library refused; parameters and salt are fixed, so it never does.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub(crate) struct HashError(String);

/// Notes what is wrong with a new password.
pub(crate) fn check(v: &mut Validation, password: &str) {
    let at = "/password";
    v.check(password.chars().count() >= PASSWORD_CHARS_MIN, at, "too_short", "At least 10 characters.");
    v.check(password.len() <= PASSWORD_BYTES_MAX, at, "too_long", "At most 512 bytes.");
}

impl Passwords {
    pub(crate) async fn new(entropy: &Entropy) -> Result<Self, HashError> {
        let mut passwords = Self {
            room: Semaphore::new(HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX),
            running: Semaphore::new(HASHES_AT_ONCE_MAX),
            nobody: String::new(),
            entropy: *entropy,
        };
        let unknown: String = entropy.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let hash = passwords.hash(unknown).await.map_err(|failure| HashError(failure.to_string()))?;
        passwords.nobody = hash;
        Ok(passwords)
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        let salt = self.entropy.bytes::<16>();
        self.run(move || {
            let hash: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| HashError(error.to_string()))
        })
        .await?
        .map_err(|error| {
            tracing::error!(%error, "hashing failed");
            Failure::internal()
        })
    }

    /// Whether the password belongs to the hash. Without a hash the answer is no, after the same work.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let holds =
            self.run(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()).await?;
        Ok(holds && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let overloaded = || Failure::from(Code::Overloaded).retry_after_s(2);
        let _room = self.room.try_acquire().map_err(|_| overloaded())?;
        let _running = self.running.acquire().await.map_err(|_| overloaded())?;
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "a hash broke");
            Failure::internal()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_belongs_to_its_own_hash_only() {
        let passwords = Passwords::new(&Entropy).await.unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct house".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(!passwords.verify("x".repeat(PASSWORD_BYTES_MAX + 1), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), Some("nonsense".into())).await.unwrap());
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "each has a salt of its own");
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused_and_not_queued_for_ever() {
        let passwords = Passwords::new(&Entropy).await.unwrap();
        let room = u32::try_from(HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX).unwrap();
        let _taken = passwords.room.acquire_many(room).await.unwrap();
        assert_eq!(passwords.hash("correct horse".into()).await.unwrap_err().code, Code::Overloaded);
    }
}
