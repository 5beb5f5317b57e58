-- The errors of a budget that no window can be made for.

create or replace function kata_data.refuse_budget(budget integer, stable_step integer) returns void
language plpgsql stable
as $$
begin
  if budget is null or budget <= 0 then
    raise exception using
      errcode = 'KC017',
      message = 'budget must be a positive number of tokens',
      detail = format('It is %s.', coalesce(budget::text, 'null')),
      hint = 'Pass how many tokens the messages may take, for example 8000.';
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'stable_step must be smaller than the budget',
    detail = format('It is %s, the budget is %s.', coalesce(stable_step::text, 'null'), budget),
    hint = 'Pass a fraction of the budget, a quarter for example, or 0 for none.';
end
$$;
comment on function kata_data.refuse_budget(integer, integer) is
'Refuses a budget that is not positive, or a stable step that is not 0 to below it. KC017.';
