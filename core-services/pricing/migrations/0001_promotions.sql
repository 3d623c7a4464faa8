-- Uploaded plugins: the component itself is kept, so that an order's plugin can be run again years later.
create table plugin (
    id          uuid primary key,
    -- Whose; null is the marketplace's.
    merchant    uuid,
    name        text        not null,
    hash        text        not null,
    component   bytea       not null,
    trial       jsonb       not null,
    uploaded_by text        not null,
    uploaded_at timestamptz not null
);

create unique index plugin_of_merchant on plugin (coalesce(merchant, '00000000-0000-0000-0000-000000000000'), hash);

-- Promotions: a declarative rule, or a plugin with its configuration.
create table promotion (
    id         uuid primary key,
    merchant   uuid,
    label      text    not null,
    -- One of the two.
    rule       jsonb,
    plugin     uuid references plugin (id),
    config     jsonb   not null default '{}',
    active     boolean not null,
    changed_by text    not null,
    changed_at timestamptz not null,
    check ((rule is null) <> (plugin is null))
);

create index promotion_active on promotion (id) where active;

-- What quotes are computed with: grows with each change of a promotion. `told` is what edges know already.
create table promotion_version (
    one     boolean primary key default true check (one),
    version bigint  not null,
    told    bigint  not null
);

insert into promotion_version (version, told) values (1, 0);

-- Append-only: who changed which promotion.
create table promotion_audit (
    n         bigserial primary key,
    promotion uuid        not null,
    at        timestamptz not null,
    who       text        not null,
    what      text        not null,
    data      jsonb       not null
);
