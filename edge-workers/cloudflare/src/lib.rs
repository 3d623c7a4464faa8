//! The storefront as a Cloudflare Worker.
