//! The JavaScript between the runtime and the compiled storefront.

use std::path::Path;

use wasm_bindgen_cli_support::Bindgen;

use crate::{BundleError, create_folder};

/// The WebAssembly beside the glue, after the generator took its own notes out of it.
pub(crate) const WASM: &str = "index_bg.wasm";
const SCRIPT: &str = "index.js";
/// What the generator writes, and what esbuild and workerd understand: a plain import gives a module there.
const SOURCE_IMPORT: (&str, &str) = ("import source ", "import ");

/// Writes the glue of a compiled worker into a folder.
pub(crate) fn write(wasm: &Path, folder: &Path) -> Result<(), BundleError> {
    create_folder(folder)?;
    generate(wasm, folder).map_err(|error| BundleError::Glue(error.to_string()))?;
    let path = folder.join(SCRIPT);
    let file_error = |error| BundleError::File { path: path.clone(), error };
    let script = std::fs::read_to_string(&path).map_err(file_error)?;
    std::fs::write(&path, plain_import(&script)?).map_err(file_error)
}

fn generate(wasm: &Path, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .module(true)?
        // A panic leaves the instance unusable: these let the entry replace it.
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)?;
    Ok(())
}

fn plain_import(script: &str) -> Result<String, BundleError> {
    let (from, to) = SOURCE_IMPORT;
    let replaced: Vec<String> = script
        .lines()
        .map(|line| line.strip_prefix(from).map_or_else(|| line.to_owned(), |rest| format!("{to}{rest}")))
        .collect();
    let count = script.lines().filter(|line| line.starts_with(from)).count();
    if count == 1 {
        Ok(replaced.join("\n") + "\n")
    } else {
        Err(BundleError::Glue(format!("{count} imports of the module")))
    }
}

#[cfg(test)]
mod tests {
    use super::plain_import;

    #[test]
    fn the_module_is_imported_plainly() {
        let script = "import source wasmModule from \"./index_bg.wasm\";\nlet a;\n";
        assert_eq!(plain_import(script).ok().as_deref(), Some("import wasmModule from \"./index_bg.wasm\";\nlet a;\n"));
        assert!(plain_import("let a;").is_err(), "a generator that writes something else is noticed");
    }
}
