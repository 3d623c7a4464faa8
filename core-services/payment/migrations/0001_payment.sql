-- Payment intents, what is known of them, and the ledger. No table here holds a name, an address, an e-mail address or a
-- telephone number: a buyer is an account's or a session's id.

-- One order has one intent. The row is also the counter row of its money: what must not be exceeded is a CHECK, and
-- claims are raised before the provider is asked.
create table intent (
    id                      uuid primary key,
    order_id                uuid not null constraint intent_one_per_order unique,
    buyer                   text not null,
    provider                text not null,
    provider_ref            text,
    amount                  bigint not null check (amount >= 0),
    currency                char(3) not null,

    -- Facts: they only grow.
    authorised              bigint not null default 0 check (authorised >= 0),
    captured                bigint not null default 0 check (captured >= 0),
    refunded                bigint not null default 0 check (refunded >= 0),
    disputed                bigint not null default 0 check (disputed >= 0),
    cancelled               boolean not null default false,
    mismatch                boolean not null default false,
    refused                 jsonb not null default '[]',
    challenged              jsonb not null default '{}',

    -- Claims: what we have asked, or are about to ask, the provider to do.
    capture_claimed         bigint not null default 0 check (capture_claimed >= 0),
    refund_claimed          bigint not null default 0 check (refund_claimed >= 0),

    -- What the ledger has transfers for.
    booked_captured         bigint not null default 0,
    booked_applied          bigint not null default 0,
    booked_refunded         bigint not null default 0,
    booked_applied_refunded bigint not null default 0,
    booked_disputed         bigint not null default 0,

    closing                 boolean not null default false,
    capture_failed          boolean not null default false,
    late_returned           boolean not null default false,
    attempts                integer not null default 0,
    last_attempt            uuid,
    last_attempted_at       timestamptz,
    last_reference          text,
    last_unknown            boolean not null default false,

    status                  text not null,
    revision                bigint not null default 1,
    -- The last revision that the order service has acknowledged, and when it is asked again otherwise.
    told_revision           bigint not null default 0,
    tell_at                 timestamptz not null,
    tell_tries              integer not null default 0,
    opened_at               timestamptz not null,

    constraint intent_captured_within_authorised check (captured <= authorised),
    constraint intent_refunded_within_captured check (refunded <= captured),
    constraint intent_capture_claim_within_authorised check (capture_claimed <= authorised),
    constraint intent_refund_claim_within_captured check (refund_claimed <= captured),
    constraint intent_refunded_was_claimed check (refunded <= refund_claimed),
    constraint intent_booked_as_known check (
        booked_captured <= captured and booked_applied <= booked_captured and booked_refunded <= refunded
    )
);

create unique index intent_by_reference on intent (provider, provider_ref) where provider_ref is not null;
create index intent_to_tell on intent (tell_at) where told_revision < revision;

-- What each merchant gets of it, agreed when it was opened. Minor units of the intent's currency.
create table intent_share (
    intent   uuid not null references intent,
    merchant uuid not null,
    payable  bigint not null check (payable >= 0),
    tax      bigint not null check (tax >= 0),
    fee      bigint not null check (fee >= 0),
    primary key (intent, merchant)
);

create table attempt (
    id         uuid primary key,
    intent     uuid not null references intent,
    key        text not null,
    buyer      text not null,
    provider   text not null,
    method     text not null,
    return_url text,
    reference  text,
    state      text not null check (state in ('asked', 'unknown', 'answered')),
    begun_at   timestamptz not null,
    constraint attempt_key_once unique (intent, key)
);

create index attempt_by_buyer on attempt (buyer, begun_at);

-- Each fact when it was news, for people who ask how it came to be; the intent holds their join.
create table fact (
    intent    uuid not null references intent,
    kind      text not null,
    reference text not null,
    amount    bigint not null,
    seen_at   timestamptz not null,
    primary key (intent, kind, reference, amount)
);

create table refund (
    id           uuid primary key,
    intent       uuid not null references intent,
    key          text not null,
    -- As asked: null for all that is left.
    asked        bigint,
    amount       bigint not null check (amount > 0),
    currency     char(3) not null,
    reason       text not null,
    state        text not null check (state in ('asked', 'done', 'failed')),
    requested_at timestamptz not null,
    constraint refund_key_once unique (intent, key)
);

-- Provider calls that must happen. The row is written with what it is about, before the provider is called, and is gone
-- when the answer is committed; until then it is done again under the same idempotency key.
create table job (
    kind       text not null check (kind in ('pay', 'capture', 'cancel', 'refund', 'poll')),
    -- An attempt, a refund or an intent.
    subject    uuid not null,
    intent     uuid not null references intent,
    due_at     timestamptz not null,
    tries      integer not null default 0,
    created_at timestamptz not null,
    primary key (kind, subject)
);

create index job_due on job (due_at);

-- Webhooks as they came, after the check of their signature. Deleted after 30 days.
create table webhook_raw (
    provider    text not null,
    event       text not null,
    body        bytea not null,
    received_at timestamptz not null,
    primary key (provider, event)
);

create index webhook_raw_by_age on webhook_raw (received_at);

-- What a person has to look at. Ids and amounts only.
create table exception (
    id        uuid primary key,
    order_id  uuid,
    intent    uuid,
    kind      text not null,
    detail    jsonb not null,
    opened_at timestamptz not null,
    closed_at timestamptz
);

create unique index exception_open_once on exception (intent, kind) where closed_at is null;
create index exception_open on exception (id) where closed_at is null;

-- The ledger. A row debits one account and credits another by the same amount: it balances by construction.
create table transfer (
    id       uuid primary key,
    journal  uuid not null,
    intent   uuid references intent,
    order_id uuid,
    at       timestamptz not null,
    debit    text not null,
    credit   text not null,
    amount   bigint not null check (amount > 0),
    currency char(3) not null,
    merchant uuid,
    reason   text not null,
    check (debit <> credit)
);

create index transfer_by_intent on transfer (intent);
create index transfer_by_order on transfer (order_id);
create index transfer_by_merchant on transfer (merchant) where merchant is not null;

create function transfer_is_never_changed() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only' using errcode = 'restrict_violation';
end $$;

create trigger transfer_append_only before update or delete or truncate on transfer
    for each statement execute function transfer_is_never_changed();

revoke update, delete, truncate on transfer from current_user;

-- The provider's settlement report, line by line, beside which the books are laid.
create table settlement (
    provider   text not null,
    line       text not null,
    kind       text not null,
    reference  text,
    intent     uuid references intent,
    amount     bigint not null,
    fee        bigint not null,
    currency   char(3) not null,
    settled_at timestamptz not null,
    primary key (provider, line)
);

create index settlement_by_intent on settlement (intent);
