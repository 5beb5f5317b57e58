-- The lock on what a fork family has said. A session that starts a compaction shares it, one that erases holds it exclusively, each before
-- it locks a head and until the end of the transaction. So no compaction starts from a text that is being erased.

create or replace function kata_data.family_lock(context_id uuid) returns bigint
language plpgsql stable
as $$
begin
  return (
    select hashtextextended('kata family ' || c.family_id, 0)
    from kata_data.context c
    where c.context_id = family_lock.context_id);
end
$$;
comment on function kata_data.family_lock(uuid) is
'The key of the advisory lock on the texts of a context''s family; null without such a context.';

create or replace function kata_data.lock_families(contexts uuid[]) returns void
language plpgsql volatile
as $$
begin
  perform pg_advisory_xact_lock(k.key)
  from (
    select distinct kata_data.family_lock(c.context_id) as key
    from unnest(contexts) c(context_id)
    order by key
  ) k;
end
$$;
comment on function kata_data.lock_families(uuid[]) is
'Keeps compactions in the families of some contexts from starting, until the end of the transaction.

The caller holds the lock that keeps other removals out: lock_artifacts takes it.';
