-- Merchants read what was done to their own promotions.
create index promotion_audit_of_promotion on promotion_audit (promotion, n);
