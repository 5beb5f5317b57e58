-- The budget that messages may take, and the errors of a budget that no window can be made for.

create or replace function kata_data.messages_budget(context_id uuid, budget integer, reserve integer, stable_step integer) returns integer
language plpgsql stable
as $$
declare
  v_budget integer := budget;
begin
  if budget is null then
    v_budget := (
      select (kata_data.policy_value(c.policy, 'budget'))::integer
      from kata_data.context c
      where c.context_id = messages_budget.context_id);
  end if;
  if v_budget > 0 and (reserve between 0 and v_budget - 1) is not true then
    raise exception using
      errcode = 'KC017',
      message = 'reserve must be from 0 to below the budget',
      detail = format('It is %s, the budget is %s.', coalesce(reserve::text, 'null'), v_budget),
      hint = 'Pass how many tokens of the budget to keep for the answer and the tools, or 0.';
  end if;
  v_budget := v_budget - case when v_budget > 0 then reserve else 0 end;
  if (v_budget > 0 and stable_step >= 0 and stable_step < v_budget) is not true then
    perform kata_data.refuse_budget(v_budget, stable_step);
  end if;
  return v_budget;
end
$$;
comment on function kata_data.messages_budget(uuid, integer, integer, integer) is
'The tokens that messages may take: the budget, for null that of the policy, less the reserve. KC017.';

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
    message = 'stable_step must be from 0 to below the budget',
    detail = format('It is %s, the budget is %s.', coalesce(stable_step::text, 'null'), budget),
    hint = 'Pass a fraction of the budget, a quarter for example, or 0 for none.';
end
$$;
comment on function kata_data.refuse_budget(integer, integer) is
'Refuses a budget that is not positive, or a stable step that is not 0 to below it. KC017.';

create or replace function kata_data.refuse_small_budget(least_budget bigint, budget integer, reserve integer, tools_tokens integer) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC020',
    message = format('a budget of %s tokens is too small', budget),
    detail = format(
      'The newest group, the preamble and the pins take %s tokens%s, the least sufficient budget.', least_budget + reserve + tools_tokens,
      case
        when reserve > 0 and tools_tokens > 0 then ' with the reserve and the tools'
        when reserve > 0 then ' with the reserve'
        when tools_tokens > 0 then ' with the tools'
        else ''
      end),
    hint = 'Raise the budget to that, unpin messages, or shorten results of tools with kata.elide.';
end
$$;
comment on function kata_data.refuse_small_budget(bigint, integer, integer, integer) is
'Refuses a budget that does not hold what always comes. least_budget: of the messages alone. KC020.';
