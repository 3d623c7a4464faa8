-- Carts, guests' too, behind the cells of the edges. Any replica may be merged in, in any order, as often as it likes.
create table cart (
    -- Hash of the cart's secret: names the cart without giving it away.
    cart text primary key,
    -- As `bodega_domain::cart::Cart::encode` writes it.
    state bytea not null,
    -- Whose it is since a guest's cart was adopted into it; from then on nobody else's.
    account uuid,
    updated timestamptz not null
);
create index cart_abandoned on cart (updated) where account is null;

-- Guests' carts that went into an account's: each once.
create table adopted (
    guest text primary key,
    adopted_at timestamptz not null
);
create index adopted_old on adopted (adopted_at);
