//! What every service of the core stands on: bus, outbox and inbox, principals, configuration, telemetry, Postgres, Redis.
