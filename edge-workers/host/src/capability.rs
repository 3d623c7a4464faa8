//! What the component reaches beside WASI: key-value stores, cells, variables.

pub(crate) mod keyvalue;
pub(crate) mod spin;

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "wit",
        world: "bodega:edge-host/capabilities",
        imports: {
            "wasi:keyvalue/store": async | trappable,
            "wasi:keyvalue/atomics": async | trappable,
            default: store | trappable,
        },
        with: {
            "spin:key-value/key-value.store": crate::capability::Bucket,
            "wasi:keyvalue/store.bucket": crate::capability::Bucket,
            "wasi:keyvalue/atomics.cas": crate::capability::keyvalue::Seen,
        },
    });
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use crate::guest::Guest;
use crate::kv::Stores;
use crate::media::MediaOrigin;

/// What every instance of this host shares.
pub(crate) struct Shared {
    pub(crate) stores: Stores,
    /// Names of the stores that may be opened.
    pub(crate) allowed: BTreeSet<Arc<str>>,
    pub(crate) variables: BTreeMap<String, String>,
    /// Where pictures are read through from.
    pub(crate) media: Option<Arc<MediaOrigin>>,
}

/// An open store.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Bucket(pub(crate) Arc<str>);

impl Shared {
    /// An unlisted store is not merely absent: asking for it is a mistake in the deployment.
    fn open(&self, label: &str) -> Option<Bucket> {
        self.allowed.get(label).map(|name| Bucket(Arc::clone(name)))
    }
}

/// Makes the capabilities importable.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    generated::Capabilities::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}
