//! The loop: one request, one response, until the pipe ends.

use super::{
    artefact::Cache,
    engine::{Clocked, VERSION},
    inspect,
    plugin::{self, Plugin},
    run,
};
use bodega_plugin_host::{
    frame::{self, Error},
    limits::{CALLS_MAX, CONFIGURATION_BYTES_MAX, LOADED_MAX},
    protocol::{Batch, Hash, Outcome, Request, Response, Verdict},
};
use std::{
    collections::HashMap,
    io::{Read, Write},
};

/// Serves requests until `input` ends.
///
/// # Errors
/// When the pipe breaks. A frame that is not understood is answered, one that is too large is not.
pub(crate) fn serve(
    clocked: Clocked,
    cache: Option<Cache>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), Error> {
    let mut host = Host { clocked, cache, loaded: HashMap::new(), requests: 0 };
    while let Some(frame) = frame::read(input)? {
        let response = match serde_json::from_slice(&frame) {
            Ok(request) => host.answer(request),
            Err(error) => Response::Misunderstood { detail: error.to_string() },
        };
        frame::write(output, &response)?;
    }
    Ok(())
}

struct Host {
    clocked: Clocked,
    cache: Option<Cache>,
    /// Ready plugins, each with the number of the request that used it last.
    loaded: HashMap<Hash, (u64, Plugin)>,
    requests: u64,
}

impl Host {
    fn answer(&mut self, request: Request) -> Response {
        self.requests += 1;
        match request {
            Request::Ping => Response::Pong { engine: format!("wasmtime {VERSION}") },
            Request::Inspect { component } => {
                inspect::inspect(&component).map_or_else(Response::Rejected, Response::Inspected)
            }
            Request::Load { hash, component } => {
                let ticking = self.clocked.run();
                let loaded = plugin::load(&self.clocked, self.cache.as_ref(), &hash, &component);
                drop(ticking);
                match loaded {
                    Ok((plugin, loaded)) => {
                        self.keep(hash, plugin);
                        Response::Loaded(loaded)
                    }
                    Err(rejection) => Response::Rejected(rejection),
                }
            }
            Request::Run(batch) => match nonsense(&batch) {
                None => Response::Ran(self.run(&batch)),
                Some(detail) => Response::Misunderstood { detail },
            },
        }
    }

    fn run(&mut self, batch: &Batch) -> Vec<Verdict> {
        let _ticking = self.clocked.run();
        let mut verdicts = Vec::with_capacity(batch.calls.len());
        for call in &batch.calls {
            verdicts.push(match self.loaded.get_mut(&call.plugin) {
                Some((used, plugin)) => {
                    *used = self.requests;
                    run::call(&self.clocked, plugin, call, &batch.carts[call.cart])
                }
                None => Verdict { outcome: Outcome::NotLoaded, fuel: 0 },
            });
        }
        verdicts
    }

    fn keep(&mut self, hash: Hash, plugin: Plugin) {
        if self.loaded.len() >= LOADED_MAX && !self.loaded.contains_key(&hash) {
            let idle = self.loaded.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| *hash);
            if let Some(idle) = idle {
                self.loaded.remove(&idle);
            }
        }
        self.loaded.insert(hash, (self.requests, plugin));
    }
}

/// Why a batch cannot be run at all.
fn nonsense(batch: &Batch) -> Option<String> {
    if batch.calls.len() > CALLS_MAX {
        return Some(format!("{} calls, at most {CALLS_MAX} at once", batch.calls.len()));
    }
    batch.calls.iter().enumerate().find_map(|(position, call)| {
        if call.cart >= batch.carts.len() {
            Some(format!("call {position} is about cart {}, of {}", call.cart, batch.carts.len()))
        } else if call.configuration.len() > CONFIGURATION_BYTES_MAX {
            Some(format!("the configuration of call {position} has {} bytes", call.configuration.len()))
        } else {
            None
        }
    })
}
