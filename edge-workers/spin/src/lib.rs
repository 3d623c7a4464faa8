//! The storefront as a WASI 0.3 component for Spin and for the embedded host.
