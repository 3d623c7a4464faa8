//! A NATS client protocol without I/O, for WebAssembly and anything else.
