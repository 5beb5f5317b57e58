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

create or replace function kata_data.plan_beside(plan kata_data.plan, room bigint, room_left bigint) returns kata_data.plan
language plpgsql immutable
as $$
begin
  if plan.start is not null then
    plan.keep_tokens := coalesce(plan.keep_tokens, room / 2) - (room - room_left);
  end if;
  return plan;
end
$$;
comment on function kata_data.plan_beside(kata_data.plan, bigint, bigint) is
'A plan whose tokens to keep are less by those that are promised. room: of the budget, beside the preamble; room_left: of that, beside what is
promised.';
