//! Write a promotion plugin in Rust.
//!
//! A plugin is a function from a cart and its configuration to discounts. Implement [`Promotion`], name the type in
//! [`export_promotion!`], build the crate for `wasm32-unknown-unknown`, and turn it into a component; the builder in
//! `deploy/plugin-build` does the last two. The component imports nothing at all: no clock, no randomness, no
//! network, no files. It is given a fresh memory for each call, so a `static` does not outlive one either.
//!
//! ```
//! use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};
//!
//! struct Welcome;
//!
//! #[derive(serde::Deserialize)]
//! struct Configuration {
//!     percentage_bp: u32,
//! }
//!
//! impl Promotion for Welcome {
//!     type Configuration = Configuration;
//!
//!     fn describe() -> Description {
//!         Description {
//!             name: "welcome".into(),
//!             version: "1.0.0".into(),
//!             summary: "A share off the whole order.".into(),
//!             example_configuration: r#"{"percentage_bp": 500}"#.into(),
//!         }
//!     }
//!
//!     fn evaluate(_cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
//!         Ok(vec![Effect::on_order("Welcome").percentage(configuration.percentage_bp)])
//!     }
//! }
//!
//! export_promotion!(Welcome);
//! ```
//!
//! Money is an integer of minor units; there is no need for a float, and the host makes those deterministic too.
//! What the host allows (fuel, memory, size of the answer) is listed in `docs/LIMITS.md`.

// The generated code names this crate as a plugin would.
extern crate self as bodega_plugin_sdk;

/// What `wit-bindgen` makes of `wasm-plugins/wit/promotion.wit`.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::cast_possible_truncation)]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "promotion",
        runtime_path: "::bodega_plugin_sdk::wit_bindgen::rt",
        default_bindings_module: "::bodega_plugin_sdk::bindings",
        export_macro_name: "export_evaluator",
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq],
    });
}

mod effect;
#[cfg(feature = "golden")]
pub mod golden;
mod selection;

#[doc(hidden)]
pub use wit_bindgen;

pub use bindings::exports::bodega::promotion::evaluator::{
    Attribute, Cart, Description, Discount, Effect, Line, LineUnits, Refusal, Target,
};
pub use effect::Open;
pub use selection::Selection;

use bindings::exports::bodega::promotion::evaluator::Guest;
use std::marker::PhantomData;

/// What a plugin implements.
pub trait Promotion {
    /// The merchant's settings. What `serde` cannot read is refused in the plugin's name, with the reason; limits
    /// that a type cannot say belong in `#[serde(try_from = "…")]`, so that a bad configuration never gets as far
    /// as a cart.
    type Configuration: serde::de::DeserializeOwned;

    /// What this plugin is. Asked once, at the upload.
    fn describe() -> Description;

    /// The discounts for `cart`; none when there is nothing to give. Pure: the same cart and configuration give the
    /// same effects in the same order, so iterate over `BTreeMap`, not `HashMap`.
    ///
    /// # Errors
    /// A [`Refusal`] costs the shopper this discount and is shown to the merchant.
    fn evaluate(cart: &Cart, configuration: &Self::Configuration) -> Result<Vec<Effect>, Refusal>;
}

/// Reads the configuration of `cart` and evaluates `P`: exactly what the component does, callable from a native test.
///
/// # Errors
/// The plugin's refusal, or [`Refusal::Configuration`] when the configuration cannot be read.
pub fn evaluate<P: Promotion>(cart: &Cart) -> Result<Vec<Effect>, Refusal> {
    let configuration =
        serde_json::from_str(&cart.configuration).map_err(|error| Refusal::Configuration(error.to_string()))?;
    P::evaluate(cart, &configuration)
}

/// Carries a [`Promotion`] over to the exported interface.
#[doc(hidden)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Promotion> Guest for Exported<P> {
    fn describe() -> Description {
        P::describe()
    }

    fn evaluate(cart: Cart) -> Result<Vec<Effect>, Refusal> {
        evaluate::<P>(&cart)
    }
}

/// Exports a type that implements [`Promotion`] as the component's evaluator. On other targets than WebAssembly it
/// only checks the type, so that the crate's tests run natively.
#[macro_export]
macro_rules! export_promotion {
    ($plugin:ty) => {
        const _: () = {
            #[allow(dead_code)]
            type Evaluator = $crate::Exported<$plugin>;
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export_evaluator!(Evaluator with_types_in $crate::bindings);
        };
    };
}
