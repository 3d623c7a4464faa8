-- Accounts without anything personal: deleting a person empties `profile`, and nothing else stops working.
create table account (
    id uuid primary key,
    -- Argon2id in PHC form; null: nobody can sign in.
    password text,
    roles jsonb not null default '[]',
    -- Names the account's cart. Kept, so that a new key of the ring does not lose carts.
    cart_secret bytea not null check (octet_length(cart_secret) = 32),
    created timestamptz not null
);

create table profile (
    account uuid primary key references account,
    email text not null,
    name text not null,
    address jsonb
);
create unique index profile_email on profile (lower(email));

create table session (
    id uuid primary key,
    account uuid not null references account,
    opened timestamptz not null,
    -- When its last access token ends.
    token_expires timestamptz not null,
    refresh_expires timestamptz not null,
    ended timestamptz
);
create index session_live on session (account) where ended is null;
create index session_refresh_expires on session (refresh_expires);

-- Refresh tokens by their hash. A used one that comes again ends its session.
create table refresh (
    hash bytea primary key check (octet_length(hash) = 32),
    session uuid not null references session on delete cascade,
    used timestamptz
);
create index refresh_session on refresh (session);

-- The deny list. Positions are given under the lock of one row, so that who has read up to one has missed none before.
create table revoked (
    position bigint primary key,
    session uuid not null constraint revoked_session unique,
    until timestamptz not null
);
create index revoked_until on revoked (until);

create table revocations (
    one boolean primary key default true check (one),
    head bigint not null default 0
);
insert into revocations default values;

-- Attempts to sign in, by a keyed digest of the e-mail. Emptied by success and by time.
create table sign_in_attempts (
    who bytea primary key,
    since timestamptz not null,
    attempts integer not null
);
create index sign_in_attempts_since on sign_in_attempts (since);
