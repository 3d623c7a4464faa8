//! Accounts, sessions, revocation.
