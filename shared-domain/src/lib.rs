//! Pure rules and wire messages of Bodega: money, cart, quote, order, stock, payment. No I/O, clock or randomness.
