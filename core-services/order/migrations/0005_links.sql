-- A guest's link is made of the order's id and this number: one more, and every older link opens nothing.
alter table orders add column link_generation integer not null default 1 check (link_generation > 0);

-- E-mails told through a link that were not the order's, so that nobody tries them all. Emptied by the right one.
create table link_guess (
    order_id uuid        primary key,
    since    timestamptz not null,
    wrong    integer     not null check (wrong > 0)
);
