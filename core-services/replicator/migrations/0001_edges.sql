-- How far each edge is, and what was sent to it last.
create table edge_state (
    edge text primary key,
    -- The snapshot that the edge stands on: its epoch, the edge's count of snapshots with it, the position up to which
    -- it goes, and whether all of it has arrived.
    snapshot_epoch text,
    snapshot_generation bigint,
    snapshot_head bigint,
    snapshot_complete boolean not null default false,
    -- A batch that was sent and not confirmed. It is repeated byte for byte, because an edge that crashed while it wrote
    -- recognises what it has by the batch's hash.
    pending bytea,
    position bigint not null default 0,
    head bigint not null default 0,
    confirmed_at timestamptz,
    lag_ms bigint,
    state text not null default 'unreachable',
    error text
);
