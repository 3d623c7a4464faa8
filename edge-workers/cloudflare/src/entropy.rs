//! The runtime's secure random numbers.

use wasm_bindgen::prelude::wasm_bindgen;
use worker::js_sys::Uint8Array;

/// Most bytes that one call may ask for, by the Web Crypto standard.
const ONCE_MAX: usize = 65_536;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(array: &Uint8Array) -> Uint8Array;
}

/// Fills `bytes`. An exception of the runtime ends the request: nothing continues with bytes that are not random.
pub(crate) fn fill(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(ONCE_MAX) {
        let array = Uint8Array::new_with_length(u32::try_from(part.len()).unwrap_or(0));
        get_random_values(&array).copy_to(part);
    }
}
