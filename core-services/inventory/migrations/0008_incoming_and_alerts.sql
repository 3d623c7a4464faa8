-- Goods that are on their way to a shelf. What has arrived of them is a movement each time; this tells what is still expected.
create table incoming (
    id           uuid primary key,
    sku_no       bigint      not null,
    location     uuid        not null references location (id),
    merchant     uuid        not null,
    quantity     bigint      not null check (quantity > 0),
    -- May be more than was announced: what has come has come.
    received     bigint      not null default 0 check (received >= 0),
    expected_on  date,
    reference    text        not null,
    -- Empty while something is still expected.
    closed_at    timestamptz,
    announced_at timestamptz not null,
    who          text        not null,
    constraint incoming_reference_of_merchant unique (merchant, reference)
);

create index incoming_open on incoming (sku_no, location) where closed_at is null;
create index incoming_of_merchant on incoming (merchant, id);

-- At how many free units, all places together, a merchant wants to order anew.
alter table stock add column reorder_point bigint not null default 9 check (reorder_point >= 0);

-- Who set it, and when. Ids only.
create table reorder_change (
    n             bigserial primary key,
    sku_no        bigint      not null,
    reorder_point bigint      not null check (reorder_point >= 0),
    at            timestamptz not null,
    who           text        not null
);

create trigger reorder_change_is_append_only before update or delete or truncate on reorder_change
    for each statement execute function refuse_change();

-- How a SKU stands beside its reorder point, as merchants were told last: 0 out, 1 low, 2 enough. A SKU that never was below
-- it has no row. The version tells an older word from a newer.
create table alert (
    sku_no   bigint primary key,
    merchant uuid        not null,
    level    smallint    not null check (level between 0 and 2),
    version  bigint      not null,
    since    timestamptz not null
);

create index alert_open on alert (since desc, sku_no desc) where level < 2;

insert into alert (sku_no, merchant, level, version, since)
    select sku_no, (array_agg(merchant order by location))[1], (sum(available) > 0)::int, 1, now()
    from (select *, greatest(0, on_hand - safety - pending - posted) as available from stock) s
    group by sku_no having sum(available) <= 9;
