-- The catalogue, and every view of it that an edge holds.

-- One row, locked by every change of products: listing pages depend on all products of a category, so changes are made
-- one after the other, and numbers are issued without gaps.
create table counters (
    one boolean primary key default true check (one),
    sku_no integer not null default 0,
    ordinal bigint not null default 0,
    price_version bigint not null default 0
);
insert into counters default values;

create table merchant (
    id uuid primary key,
    slug text not null constraint merchant_slug unique,
    name text not null
);

create table category (
    slug text primary key,
    title text not null,
    description text not null,
    position integer not null
);

create table product (
    id uuid primary key,
    slug text not null constraint product_slug unique,
    -- Display order; a new product is last.
    ordinal bigint not null unique,
    title text not null,
    description text not null,
    category text not null references category,
    merchant uuid not null references merchant,
    tax_class text not null,
    attributes jsonb not null,
    picture jsonb,
    retired boolean not null default false,
    -- As it stands on listings, so that a listing page is put together without reading variants.
    card jsonb not null default '{}',
    search tsvector not null,
    changed_at timestamptz not null
);
create index product_category on product (category, ordinal) where not retired;
create index product_merchant on product (merchant);
create index product_search on product using gin (search);

create table variant (
    -- Dense, never reused: rows are retired, not deleted.
    sku_no integer primary key check (sku_no > 0),
    sku text not null constraint variant_sku unique,
    product uuid not null references product,
    place smallint not null,
    title text not null,
    options jsonb not null,
    retired boolean not null default false
);
create index variant_product on variant (product, place);

create table price (
    sku_no integer not null references variant,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    amount bigint not null check (amount between 0 and 10000000000000),
    primary key (sku_no, currency)
);

-- What inventory reports. No reference to variant: a report may come before the product.
create table band (
    sku_no integer primary key,
    band text not null,
    version bigint not null
);

-- Every view that edges hold, tombstones included.
create table view (
    kind text not null,
    key text not null,
    version bigint not null,
    deleted boolean not null,
    -- SHA-256 of the body; empty for a tombstone.
    hash bytea not null,
    -- What this key adds to the digest of its kind while it lives.
    digest bigint not null,
    bytes integer not null,
    body jsonb,
    -- Place in the change log; null from the change until the sequencer has seen its commit.
    position bigint,
    primary key (kind, key),
    check (deleted = (body is null))
);
create unique index view_position on view (position);
create index view_pending on view (kind, key) where position is null;

-- The change log: its last position, and the epoch in which positions mean something.
create table feed (
    one boolean primary key default true check (one),
    epoch text not null,
    head bigint not null default 0
);
insert into feed (epoch) values (replace(gen_random_uuid()::text, '-', ''));

-- The digest of a live key at a version: the first eight bytes of a hash, never 0. Edges compute the same.
create function view_digest(kind text, key text, version bigint) returns bigint language sql stable as $$
    select coalesce(nullif(
        ('x' || encode(substr(sha256(convert_to(kind || '/' || key || '@' || version, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint,
        0), 1)
$$;
