-- An order exists when its row is committed here, and only then.

-- The shopper's idempotency keys, scoped to the session's principal. Only success is remembered.
create table checkout_key (
    owner       text  not null,
    key         text  not null,
    order_id    uuid  not null,
    fingerprint bytea not null,
    primary key (owner, key)
);

-- One quote, at most one order: the quote's order id is claimed once, by an order (1) or by a tombstone (2).
create table claim (
    order_id uuid primary key,
    outcome  smallint not null check (outcome in (1, 2)),
    at       timestamptz not null
);

create table orders (
    id               uuid primary key,
    number           text   not null,
    owner            text   not null,
    status           text   not null,
    fulfilment       text   not null default 'none',
    returns          text   not null default 'none',
    currency         text   not null,
    total            bigint not null check (total >= 0),
    -- The verified quote, as it was ordered.
    content          jsonb  not null,
    -- The payment as last told, and the revision that told it: an older word is passed over.
    payment          jsonb  not null,
    payment_revision bigint not null default 0,
    placed_at        timestamptz not null
) with (fillfactor = 85);

create index orders_of_owner on orders (owner, placed_at desc, id desc);
create index orders_recent on orders (placed_at desc, id desc);

create table order_part (
    order_id   uuid   not null,
    merchant   uuid   not null,
    total      bigint not null,
    fulfilment text   not null default 'none',
    primary key (order_id, merchant)
);

create index order_part_of_merchant on order_part (merchant, order_id desc);

create table order_line (
    order_id   uuid     not null,
    n          smallint not null,
    sku_no     bigint   not null,
    merchant   uuid     not null,
    quantity   integer  not null check (quantity > 0),
    unit_price bigint   not null,
    discount   bigint   not null,
    tax        bigint   not null,
    total      bigint   not null,
    primary key (order_id, n)
);

-- Personal data of orders lives here and nowhere else.
create table contact (
    order_id uuid primary key,
    email    text,
    name     text,
    shipping jsonb,
    billing  jsonb
);

-- Append-only: who did what. Ids and amounts only.
create table history (
    n        bigserial primary key,
    order_id uuid        not null,
    at       timestamptz not null,
    what     text        not null,
    who      text        not null,
    data     jsonb       not null default '{}'
);

create index history_of_order on history (order_id, n);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;

create trigger history_is_append_only before update or delete on history
    for each statement execute function refuse_change();

-- The saga of each order: what has to happen next, and when it is asked for again.
create table saga (
    order_id      uuid primary key,
    step          jsonb       not null,
    placed_at     timestamptz not null,
    pay_by        timestamptz not null,
    closing_since timestamptz,
    due           timestamptz,
    attempts      integer     not null default 0,
    -- What opens the payment: no personal data.
    open          jsonb       not null,
    -- Quotas that are given back when the order is no longer unpaid, and those that come back only when it is not paid.
    unpaid_quotas text[]      not null default '{}',
    budget_quotas text[]      not null default '{}'
) with (fillfactor = 80);

create index saga_due on saga (due) where due is not null;

-- Counters with a limit: unpaid orders of a buyer, uses of a promotion.
create table quota (
    key  text    primary key,
    used integer not null check (used >= 0)
) with (fillfactor = 80);

-- Idempotency keys of everything but placing.
create table operation_key (
    owner       text  not null,
    key         text  not null,
    order_id    uuid  not null,
    fingerprint bytea not null,
    primary key (owner, key)
);

create table goods_return (
    id       uuid primary key,
    order_id uuid        not null,
    lines    jsonb       not null,
    state    text        not null,
    at       timestamptz not null
);

create index goods_return_of_order on goods_return (order_id);

-- What somebody should look at.
create table exception (
    n         bigserial primary key,
    order_id  uuid        not null,
    kind      text        not null,
    opened_at timestamptz not null
);
