-- What became of the units of each line. The rules bound them too; here nothing gets past them.
alter table order_line
    add column cancelled   integer not null default 0 check (cancelled >= 0),
    add column preparing   integer not null default 0 check (preparing >= 0),
    add column shipped     integer not null default 0 check (shipped >= 0),
    add column delivered   integer not null default 0 check (delivered >= 0),
    add column coming_back integer not null default 0 check (coming_back >= 0),
    add column returned    integer not null default 0 check (returned >= 0),
    -- What went back for its units, or is about to.
    add column refunded    bigint  not null default 0,
    add constraint each_unit_leaves_once check (cancelled + preparing + shipped <= quantity),
    add constraint only_what_left_arrives check (delivered <= shipped),
    add constraint only_what_left_comes_back check (coming_back + returned <= shipped),
    add constraint a_line_gives_back_what_it_cost check (refunded between 0 and total);

-- With its share of shipping, so beside what its lines gave back.
alter table order_part
    add column refunded bigint not null default 0,
    add constraint a_part_gives_back_what_it_cost check (refunded between 0 and total);

alter table orders
    -- Whether anything has happened to its units: only then shipments and returns are looked for.
    add column moved boolean not null default false,
    -- Since when all of it has arrived.
    add column delivered_at timestamptz;

create index orders_to_complete on orders (delivered_at) where status = 'delivered';

create table shipment (
    id           uuid primary key,
    order_id     uuid        not null,
    merchant     uuid        not null,
    state        text        not null check (state in ('preparing', 'shipped', 'delivered', 'failed')),
    -- Place of the line in the order, and how many of it.
    units        jsonb       not null,
    -- From which locations they were taken, once they were.
    taken        jsonb,
    carrier      text,
    tracking     text,
    created_at   timestamptz not null,
    shipped_at   timestamptz,
    delivered_at timestamptz
);

create index shipment_of_order on shipment (order_id, created_at);

-- Nothing could be shipped before, and so nothing be asked to be sent back: the table is empty.
drop table goods_return;

create table goods_return (
    id           uuid primary key,
    order_id     uuid        not null,
    merchant     uuid        not null,
    state        text        not null check (state in ('requested', 'approved', 'refused', 'receiving', 'received')),
    -- Place of the line in the order, and how many of it: as asked for, and as received once they were.
    units        jsonb       not null,
    reason       text,
    refund       bigint,
    requested_at timestamptz not null
);

create index goods_return_of_order on goods_return (order_id, requested_at);
create index goods_return_recent on goods_return (requested_at desc, id desc);

-- Runs of the sagas that are tables: what has to happen next, and when it is asked for again.
create table run (
    id       uuid primary key,
    order_id uuid        not null,
    kind     text        not null,
    at       smallint    not null,
    way      text        not null,
    -- What its actions say: ids and amounts only.
    work     jsonb       not null,
    since    timestamptz not null,
    told     boolean     not null default false,
    -- Why it goes back or is parked.
    reason   jsonb,
    due      timestamptz,
    attempts integer     not null default 0,
    begun_at timestamptz not null,
    -- Whose idempotency key began it: forgotten when nothing came of it.
    who      text        not null,
    key      text        not null
) with (fillfactor = 80);

create index run_due on run (due) where due is not null;
create index run_open on run (begun_at, id) where way not in ('done', 'undone');
create index run_begun_with on run (order_id, who, key);
create index run_of_order on run (order_id) where way not in ('done', 'undone');
