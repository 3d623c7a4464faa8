-- Accounts that were deleted, with what still has to be asked of the order service. Ids only; the row stays, and says when.
create table deletion (
    account uuid        primary key references account,
    asked   timestamptz not null,
    -- When the order service is asked next, and how often it was asked in vain.
    due     timestamptz not null,
    tries   integer     not null default 0,
    -- When the order service had forgotten everything that can still come.
    done    timestamptz
);

create index deletion_due on deletion (due) where done is null;
