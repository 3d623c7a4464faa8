//! Quotes and promotions.
