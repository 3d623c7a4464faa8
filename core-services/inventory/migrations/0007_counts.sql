-- Counts that were taken in: a key is one count, whatever was sold since.
create table stock_count (
    who         text        not null,
    key         text        not null,
    fingerprint bytea       not null,
    changed     integer     not null,
    same        integer     not null,
    at          timestamptz not null,
    primary key (who, key)
);

-- Who kept how much back, and when. Ids only.
create table safety_change (
    n        bigserial primary key,
    sku_no   bigint      not null,
    location uuid        not null,
    safety   bigint      not null check (safety >= 0),
    at       timestamptz not null,
    who      text        not null
);

create trigger safety_change_is_append_only before update or delete or truncate on safety_change
    for each statement execute function refuse_change();
