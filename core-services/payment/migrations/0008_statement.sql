-- A merchant's statement reads its transfers by time, from where a page ended.
create index transfer_by_merchant_and_time on transfer (merchant, at, journal) where merchant is not null;
drop index transfer_by_merchant;
