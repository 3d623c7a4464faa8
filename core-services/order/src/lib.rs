//! Orders and the saga that drives them.
