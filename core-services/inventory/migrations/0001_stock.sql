-- Stock by SKU and location. What is promised is a CHECK, so that no code can promise more than there is.
create table location (
    id       uuid primary key,
    name     text not null,
    priority integer not null
);

create table stock (
    sku_no   bigint not null,
    location uuid   not null references location (id),
    merchant uuid   not null,
    on_hand  bigint not null default 0 check (on_hand >= 0),
    pending  bigint not null default 0 check (pending >= 0),
    posted   bigint not null default 0 check (posted >= 0),
    -- Promised beyond what was counted. Only a count raises it; a hold never does.
    short    bigint not null default 0 check (short >= 0),
    safety   bigint not null default 0 check (safety >= 0),
    primary key (sku_no, location),
    constraint nothing_is_promised_twice check (pending + posted <= on_hand + short)
) with (fillfactor = 80);

create index stock_by_merchant on stock (merchant, sku_no);

-- What is on hand is the sum of these; they are never changed.
create table movement (
    id        uuid primary key,
    sku_no    bigint not null,
    location  uuid   not null,
    merchant  uuid   not null,
    delta     bigint not null check (delta <> 0),
    reason    text   not null,
    reference text   not null unique,
    at        timestamptz not null
);

create index movement_by_sku on movement (sku_no, location);

-- One an order: 0 pending, 1 posted, 2 voided. A voided one also stands where nothing was ever held, so that a late
-- hold runs into it. No foreign key to or from stock: locks are taken in one order only.
create table hold (
    order_id uuid primary key,
    state    smallint not null check (state between 0 and 2),
    ask_at   timestamptz,
    created  timestamptz not null,
    changed  timestamptz not null
) with (fillfactor = 80);

create index hold_to_ask on hold (ask_at) where state = 0 and ask_at is not null;

create table hold_line (
    order_id uuid   not null,
    sku_no   bigint not null,
    location uuid   not null,
    merchant uuid   not null,
    quantity bigint not null check (quantity > 0),
    primary key (order_id, sku_no, location)
);

-- The band that edges were told last: 0 out, 1 low, 2 in stock. The version tells an older word from a newer.
create table band (
    sku_no  bigint primary key,
    band    smallint not null check (band between 0 and 2),
    version bigint   not null
);
