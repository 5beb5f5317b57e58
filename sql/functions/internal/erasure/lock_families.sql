-- The lock on what a fork family has said: the row of `lineage` in which the family's root reads itself. It exists as long as the family,
-- and is never updated. A session that starts a compaction or extracts artifacts shares it, one that removes holds it exclusively, each
-- before it locks a head and until the end of the transaction. So nothing is derived from a text that is being erased, and of two removals
-- in a family the second sees the first. It is a row lock: a role without privileges on the table cannot take it.

create or replace function kata_data.families_of(contexts uuid[]) returns uuid[]
language plpgsql stable
as $$
begin
  return array(
    select distinct c.family_id
    from unnest(contexts) o(context_id)
    cross join lateral (
      select c.family_id
      from kata_data.context c
      where c.context_id = o.context_id
      offset 0
    ) c
    order by c.family_id);
end
$$;
comment on function kata_data.families_of(uuid[]) is 'The fork families of some contexts, ascending.';

create or replace function kata_data.lock_families(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  perform
  from kata_data.lineage l
  where l.context_id = any (kata_data.families_of(contexts))
    and l.first_version = 1
  order by l.context_id
  for update;
end
$$;
comment on function kata_data.lock_families(uuid[]) is
'Keeps other removals and new compactions out of the families of some contexts, until the end of the transaction.

Call it before a head is locked.';

create or replace function kata_data.share_family(context_id uuid, waits boolean) returns boolean
language plpgsql volatile
as $$
begin
  if waits then
    perform
    from kata_data.context c
    join kata_data.lineage l on l.context_id = c.family_id and l.first_version = 1
    where c.context_id = share_family.context_id
    for key share of l;
  else
    perform
    from kata_data.context c
    join kata_data.lineage l on l.context_id = c.family_id and l.first_version = 1
    where c.context_id = share_family.context_id
    for key share of l skip locked;
  end if;
  return found;
end
$$;
comment on function kata_data.share_family(uuid, boolean) is
'Keeps removals out of the family of a context, until the end of the transaction. Returns whether it did: where it must not wait, a removal
may be at work. Call it before a head is locked.';

create or replace function kata_data.share_asking(context_id uuid, out tenant text, out policy jsonb)
language plpgsql volatile
as $$
begin
  select c.tenant, c.policy into tenant, policy
  from kata_data.context c
  join kata_data.lineage l on l.context_id = c.family_id and l.first_version = 1
  where c.context_id = share_asking.context_id
  for key share of l;
end
$$;
comment on function kata_data.share_asking(uuid) is
'share_family that waits, and in the same statement the columns of the context that a request reads; null where the context is missing.';
