-- What staff writes to each other about an order. It is free text that may name somebody: emptied with the contact.
create table note (
    id       uuid primary key,
    order_id uuid        not null,
    -- Whose staff; empty for the marketplace's.
    merchant uuid,
    who      text        not null,
    at       timestamptz not null,
    text     text
);

create index note_of_order on note (order_id, at, id);
