-- How SKUs stand beside their reorder points, as inventory told last, and what their merchants were told of it: 0 out, 1 low,
-- 2 enough. Ids only.
create table stock_word (
    sku_no    bigint      primary key,
    merchant  uuid        not null,
    level     smallint    not null check (level between 0 and 2),
    available bigint      not null,
    version   bigint      not null,
    -- Empty while its merchant was never told anything of it.
    told      smallint    check (told between 0 and 2)
);

create index stock_untold on stock_word (merchant, sku_no)
    where told is distinct from level and not (told is null and level = 2);

-- Merchants that are to be told: one mail has all that came together meanwhile.
create table stock_mail (
    merchant uuid        primary key,
    due      timestamptz not null,
    attempts integer     not null default 0,
    since    timestamptz not null
);

create index stock_mail_due on stock_mail (due);
