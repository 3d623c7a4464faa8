//! What a component is, read from its bytes before anything is compiled.

use super::bindings::EVALUATOR;
use bodega_plugin_host::{
    limits::PLUGIN_BYTES_MAX,
    protocol::{Component, Inspection, Rejection},
};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

/// What a plugin may be written in: what compilers use by default today, and what is the same on every machine. A list
/// of what is allowed, so that a new engine brings nothing new by itself.
fn features() -> WasmFeatures {
    WasmFeatures::WASM1
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::SIMD
        | WasmFeatures::COMPONENT_MODEL
}

/// Reads a component.
pub(crate) fn inspect(component: &Component) -> Result<Inspection, Rejection> {
    let bytes = component.bytes();
    if bytes.len() > PLUGIN_BYTES_MAX {
        return Err(Rejection::TooLarge { bytes: bytes.len(), limit: PLUGIN_BYTES_MAX });
    }
    let invalid = |detail: String| Rejection::NotAComponent { detail };
    let (imports, exports) = names(bytes).map_err(|error| invalid(error.to_string()))?.ok_or_else(|| {
        invalid("this is a core module; `wit-component` or `wasm-tools component new` makes a component of it".into())
    })?;
    Validator::new_with_features(features()).validate_all(bytes).map_err(|error| invalid(error.to_string()))?;
    Ok(Inspection { hash: component.hash(), size: bytes.len(), imports, exports })
}

/// Whether what was read is a plugin: no imports, and the one export.
pub(crate) fn admissible(inspection: &Inspection) -> Result<(), Rejection> {
    if !inspection.imports.is_empty() {
        return Err(Rejection::Imports { imports: inspection.imports.clone() });
    }
    if inspection.exports != [EVALUATOR] {
        let detail = if inspection.exports.is_empty() {
            "this one exports nothing".into()
        } else {
            format!("this one exports {}", inspection.exports.join(", "))
        };
        return Err(Rejection::OtherWorld { expected: EVALUATOR.into(), detail });
    }
    Ok(())
}

/// Names of imports and exports of the outermost component; `None` when the bytes are a core module.
fn names(bytes: &[u8]) -> wasmparser::Result<Option<(Vec<String>, Vec<String>)>> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Ok(None),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Some((imports, exports)))
}
