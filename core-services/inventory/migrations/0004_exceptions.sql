-- Stock that is promised beyond what was counted. Opened by a count; closed when nothing is missing any more.
create table exception (
    id        uuid primary key,
    sku_no    bigint not null,
    location  uuid   not null,
    merchant  uuid   not null,
    opened_at timestamptz not null,
    closed_at timestamptz
);

create unique index exception_open on exception (sku_no, location) where closed_at is null;

insert into exception (id, sku_no, location, merchant, opened_at)
    select gen_random_uuid(), sku_no, location, merchant, now() from stock where short > 0;

-- Movements are never changed: what is on hand is their sum.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;

create trigger movement_is_append_only before update or delete or truncate on movement
    for each statement execute function refuse_change();
