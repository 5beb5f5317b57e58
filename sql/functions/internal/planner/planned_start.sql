-- The start of a planned window. A leap lands at the newest group from which the rest still has the tokens to keep: the smallest rest that
-- holds the promise writes the least.

create or replace function kata_data.planned_start(plan kata_data.plan, fitting bigint, all_fit boolean, leap bigint) returns bigint
language sql immutable
as $$
  select nullif(greatest(
    case when (all_fit or plan.start >= fitting) and not plan.is_cold then plan.start else coalesce(leap, fitting) end, fitting), fitting)
$$;
comment on function kata_data.planned_start(kata_data.plan, bigint, boolean, bigint) is
'Where the rest of a planned window starts; null for where it starts without a plan.

fitting: the lowest start that fits. all_fit: whether it is the oldest message. leap: the newest start that keeps enough; null where that does
not fit, or where all has less.';
