-- Out of whose sale money goes back; empty for all merchants in proportion.
alter table refund add column merchant uuid;
