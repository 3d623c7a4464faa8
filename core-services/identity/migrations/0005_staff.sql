-- Whether somebody who acts for a merchant wants to hear by e-mail what of its stock is low.
alter table profile add column stock_mails boolean not null default true;
-- The few accounts that are more than shoppers.
create index account_staff on account (id) where roles <> '[]';
