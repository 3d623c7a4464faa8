//! What a shopper sees, and what a client may rely on: black box, at every edge.
