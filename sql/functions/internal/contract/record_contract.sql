-- The migration runner changes the record by what it has changed itself: neither earlier damage nor additions of others become part of
-- the contract.

create or replace function kata_data.record_contract(before jsonb) returns void
language plpgsql volatile
as $$
begin
  -- At first, and after a rollback, the whole contract is recorded.
  if not exists (select from kata_data.contract) then
    before := '[]'::jsonb;
  end if;
  with change as materialized (
    select coalesce(b.object, a.object) as object, coalesce(b.aspect, a.aspect) as aspect, a.place, a.statement, a.undo
    from jsonb_populate_recordset(null::kata_data.contract, before) b
    full join kata_data.contract_facts() a on a.object = b.object and a.aspect = b.aspect
    where a.statement is distinct from b.statement
  ),
  gone as (
    delete from kata_data.contract c
    using change h
    where c.object = h.object
      and c.aspect = h.aspect
      and h.statement is null
  )
  insert into kata_data.contract as c (place, object, aspect, statement, undo)
  select h.place, h.object, h.aspect, h.statement, h.undo
  from change h
  where h.statement is not null
  on conflict on constraint contract_pkey do update
  set place = excluded.place, statement = excluded.statement, undo = excluded.undo;
end
$$;
comment on function kata_data.record_contract(jsonb) is
'Records how the security contract has changed since before: an array of the rows of kata_data.contract_facts() at that time.';
