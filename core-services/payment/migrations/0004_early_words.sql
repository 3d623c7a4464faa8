-- The provider's id of a payment that a webhook spoke of before we knew it. Told again once a payment of ours has it.
alter table webhook_raw add column waits_for text;
create index webhook_raw_waiting on webhook_raw (received_at) where waits_for is not null;
