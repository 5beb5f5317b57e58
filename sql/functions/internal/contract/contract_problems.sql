-- The security contract as it is against the recorded one. The repairs, run in order, restore the recorded one.

create or replace function kata_data.contract_problems() returns table (object text, aspect text, expected text, found text, repair text)
language sql stable rows 10
as $$
  select p.object, p.aspect, c.statement, f.statement, concat_ws('; ', f.undo, c.statement)
  from kata_data.contract_facts() f
  full join kata_data.contract c on c.object = f.object and c.aspect = f.aspect
  cross join lateral (select coalesce(c.object, f.object), coalesce(c.aspect, f.aspect), coalesce(c.place, f.place)) p(object, aspect, place)
  where c.statement is distinct from f.statement
    and (c.statement is not null or kata_data.is_breach(f))
    and exists (select from kata_data.contract)
  order by p.place, p.object collate "C", p.aspect collate "C"
$$;
comment on function kata_data.contract_problems() is
'What differs from the recorded security contract, in the order in which to repair it.

expected: a statement, null where the contract has none. found: the statement that describes what is there, null where nothing is.
repair: statements that restore what is expected. Reads the catalog and kata_data.contract; no rows while nothing is recorded.';

create or replace function kata_data.is_breach(fact kata_data.contract) returns boolean
language sql stable
as $$
  -- Indexes, constraints and defaults of an administrator are their own; so are grants on the public functions to roles of theirs.
  select fact.object ~ ('^(trigger|rule|policy) ' collate "C") and fact.aspect = 'definition'
    or fact.statement like '% -- not valid'
    or fact.aspect like 'member %'
    or fact.aspect like 'privileges of %'
      and (
        fact.object ~ (E'^\\w+ kata_data\\M' collate "C")
        or fact.aspect ~ (E'^privileges of (public|kata_owner|kata_eraser|kata_reader|kata_writer|kata_admin|kata_service|kata_proxy)\\M' collate "C"))
$$;
comment on function kata_data.is_breach(kata_data.contract) is 'Whether a fact that nothing expects makes the contract weaker.';

create or replace function kata_data.verify_contract() returns table (problem text, detail text)
language sql stable rows 10
as $$
  select 'security', format('%s, %s: expected %s; found %s.', p.object, p.aspect, coalesce(p.expected, 'nothing'), coalesce(p.found, 'nothing'))
  from kata_data.contract_problems() p
$$;
comment on function kata_data.verify_contract() is 'Findings of kata.verify about the security contract.';
