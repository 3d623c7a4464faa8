//! Payment intents, provider facts, the ledger.
