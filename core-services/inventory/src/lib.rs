//! Stock: locations, holds, movements.
