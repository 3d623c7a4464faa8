//! `spin:key-value@3.0.0` and `spin:variables@3.0.0`.

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, HasSelf, Resource};

use super::Bucket;
use super::generated::spin::key_value::key_value::{self, Error};
use super::generated::spin::variables::variables;
use crate::guest::Guest;
use crate::kv;

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl key_value::Host for Guest {}

impl key_value::HostStore for Guest {}

impl<T: Send> key_value::HostStoreWithStore<T> for HasSelf<Guest> {
    fn drop(mut access: Access<'_, T, Self>, store: Resource<Bucket>) -> wasmtime::Result<()> {
        access.get().table.delete(store)?;
        Ok(())
    }

    async fn open(accessor: &Accessor<T, Self>, label: String) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
        accessor.with(|mut access| {
            let guest = access.get();
            Ok(match guest.shared.open(&label) {
                Some(bucket) => Ok(guest.table.push(bucket)?),
                None => Err(Error::AccessDenied),
            })
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        accessor.with(|mut access| access.get().read(&store, &key).map(|read| read.map_err(Error::from)))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let read = accessor.with(|mut access| access.get().read(&store, &key))?;
        Ok(read.map(|value| value.is_some()).map_err(Error::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (stores, name) = accessor.with(|mut access| access.get().write(&store, value.len()))?;
        Ok(stores.set(&name, key, value).await.map_err(Error::from))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (stores, name) = accessor.with(|mut access| access.get().write(&store, 0))?;
        Ok(stores.delete(&name, key).await.map_err(Error::from))
    }
}

impl variables::Host for Guest {}

impl<T: Send> variables::HostWithStore<T> for HasSelf<Guest> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        let shared = accessor.with(|mut access| Arc::clone(&access.get().shared));
        Ok(shared.variables.get(&name).cloned().ok_or(variables::Error::Undefined(name)))
    }
}
