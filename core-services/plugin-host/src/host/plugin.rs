//! A component that is ready to run, and the way there.

use super::{
    artefact::Cache,
    bindings::{EVALUATOR, PromotionPre},
    engine::Clocked,
    inspect, run,
};
use bodega_plugin_host::protocol::{Component, Hash, Inspection, Loaded, Rejection};
use wasmtime::component::{self, Linker, types::ComponentExtern, types::ComponentItem};

/// A component that is ready to run: compiled, checked against the world, everything resolved but the instance.
pub(super) struct Plugin {
    pub(super) ready: PromotionPre<run::State>,
}

/// Checks a component, compiles it or takes it from the cache, and asks it what it is.
pub(super) fn load(
    clocked: &Clocked,
    cache: Option<&Cache>,
    announced: &Hash,
    component: &Component,
) -> Result<(Plugin, Loaded), Rejection> {
    let inspection = inspect::inspect(component)?;
    if inspection.hash != *announced {
        return Err(Rejection::HashDiffers { found: inspection.hash });
    }
    inspect::admissible(&inspection)?;
    let (compiled, cached) = compile(clocked, cache, &inspection, component)?;
    let plugin = Plugin { ready: resolve(clocked, &compiled)? };
    let description =
        run::describe(clocked, &plugin).map_err(|outcome| Rejection::NoDescription { outcome: Box::new(outcome) })?;
    Ok((plugin, Loaded { inspection, description, cached }))
}

fn compile(
    clocked: &Clocked,
    cache: Option<&Cache>,
    inspection: &Inspection,
    component: &Component,
) -> Result<(component::Component, bool), Rejection> {
    if let Some(known) = cache.and_then(|cache| cache.get(clocked.engine(), &inspection.hash)) {
        return Ok((known, true));
    }
    // What validates and still does not compile wants more than the pool gives: memory, tables, instances.
    let compiled = component::Component::from_binary(clocked.engine(), component.bytes())
        .map_err(|error| Rejection::TooDemanding { detail: format!("{error:#}") })?;
    if let Some(cache) = cache {
        cache.put(clocked.engine(), &inspection.hash, &compiled);
    }
    Ok((compiled, false))
}

/// Resolves the imports, of which there are none, and checks the types of the exports.
fn resolve(clocked: &Clocked, compiled: &component::Component) -> Result<PromotionPre<run::State>, Rejection> {
    let other = |detail: String| Rejection::OtherWorld { expected: EVALUATOR.into(), detail };
    let ty = compiled.component_type();
    for (name, export) in ty.exports(clocked.engine()) {
        let extra = extra_function(clocked, &export);
        if let Some(extra) = extra {
            return Err(other(format!("this one's {name} has a function {extra}")));
        }
    }
    let linker = Linker::new(clocked.engine());
    let instance =
        linker.instantiate_pre(compiled).map_err(|error| Rejection::TooDemanding { detail: format!("{error:#}") })?;
    PromotionPre::new(instance).map_err(|error| other(format!("{error:#}")))
}

/// A function of an exported instance that the world does not know.
fn extra_function(clocked: &Clocked, export: &ComponentExtern<'_>) -> Option<String> {
    let ComponentItem::ComponentInstance(instance) = &export.ty else { return None };
    instance
        .exports(clocked.engine())
        .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)))
        .map(|(name, _)| name.to_owned())
        .find(|name| name != "describe" && name != "evaluate")
}
