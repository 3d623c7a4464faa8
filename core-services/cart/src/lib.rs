//! Carts behind the edge cell.
