//! The dashboard, configuration and audit.
