//! `wasi:keyvalue@0.2.0-draft2`: stores and compare-and-swap. The proposal's functions block their instance while they
//! wait, which costs nothing here: an instance serves one request at a time.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::Bucket;
use super::generated::wasi::keyvalue::atomics::{self, CasError};
use super::generated::wasi::keyvalue::store::{self, Error};
use crate::guest::Guest;
use crate::kv::{self, Swap};

/// A value as it was seen, to be replaced only if it is still that.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Seen {
    store: Arc<str>,
    key: String,
    value: Option<Vec<u8>>,
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl store::Host for Guest {
    async fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
        Ok(match self.shared.open(&identifier) {
            Some(bucket) => Ok(self.table.push(bucket)?),
            None => Err(Error::AccessDenied),
        })
    }
}

impl store::HostBucket for Guest {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(self.read(&bucket, &key)?.map_err(Error::from))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<bool, Error>> {
        Ok(self.read(&bucket, &key)?.map(|value| value.is_some()).map_err(Error::from))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (stores, name) = self.write(&bucket, value.len())?;
        Ok(stores.set(&name, key, value).await.map_err(Error::from))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), Error>> {
        let (stores, name) = self.write(&bucket, 0)?;
        Ok(stores.delete(&name, key).await.map_err(Error::from))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let (stores, name) = self.write(&bucket, size_of::<i64>())?;
        Ok(stores.increment(&name, key, delta).await.map_err(Error::from))
    }

    async fn swap(&mut self, cas: Resource<Seen>, value: Vec<u8>) -> wasmtime::Result<Result<(), CasError>> {
        let seen = self.table.delete(cas)?;
        self.usage.swapped();
        let swap = self.shared.stores.swap(&seen.store, seen.key.clone(), seen.value, value).await;
        Ok(match swap {
            Ok(Swap::Swapped) => Ok(()),
            Ok(Swap::Lost(current)) => {
                let seen = Seen { store: seen.store, key: seen.key, value: current };
                Err(CasError::CasFailed(self.table.push(seen)?))
            }
            Err(error) => Err(CasError::StoreError(error.into())),
        })
    }
}

impl atomics::HostCas for Guest {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<Resource<Seen>, Error>> {
        let read = self.read(&bucket, &key)?;
        let store = Arc::clone(&self.table.get(&bucket)?.0);
        Ok(match read {
            Ok(value) => Ok(self.table.push(Seen { store, key, value })?),
            Err(error) => Err(error.into()),
        })
    }

    async fn current(&mut self, cas: Resource<Seen>) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.table.get(&cas)?.value.clone()))
    }

    async fn drop(&mut self, cas: Resource<Seen>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}
