//! The key-value store: a KV namespace.

use bodega_storefront::platform::KvError;
use worker::{Env, KvStore};

use crate::settings::binding;

fn store(env: &Env) -> Result<KvStore, KvError> {
    env.kv(binding::KV).map_err(|_| KvError::Denied)
}

fn unavailable(error: impl std::fmt::Display) -> KvError {
    KvError::Unavailable(error.to_string())
}

/// See [`bodega_storefront::platform::Platform::kv_get`].
pub(crate) async fn get(env: &Env, key: &str) -> Result<Option<Vec<u8>>, KvError> {
    store(env)?.get(key).bytes().await.map_err(unavailable)
}

/// See [`bodega_storefront::platform::Platform::kv_put`].
pub(crate) async fn put(env: &Env, key: &str, value: &[u8]) -> Result<(), KvError> {
    store(env)?.put_bytes(key, value).map_err(unavailable)?.execute().await.map_err(unavailable)
}

/// See [`bodega_storefront::platform::Platform::kv_delete`].
pub(crate) async fn delete(env: &Env, key: &str) -> Result<(), KvError> {
    store(env)?.delete(key).await.map_err(unavailable)
}
