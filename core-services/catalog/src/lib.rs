//! Products, categories, prices; the views that edges hold.
