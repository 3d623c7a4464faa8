-- In the schema of every service, kept by the platform itself: services do not declare these tables.

-- Events that a transaction caused. They leave after the commit and stay for seven days, to be compared with inboxes.
create table outbox (
    -- A UUIDv7: sorts by the time the event was made, so that deletion and audit go along the primary key.
    id uuid primary key,
    seq bigint generated always as identity,
    subject text not null,
    payload jsonb not null,
    created timestamptz not null,
    -- When JetStream acknowledged it.
    published timestamptz
);

create index outbox_unpublished on outbox (seq) where published is null;

-- Events that were applied, in the transaction that applied them.
create table inbox (
    consumer text not null,
    event_id uuid not null,
    received timestamptz not null,
    primary key (consumer, event_id)
);
