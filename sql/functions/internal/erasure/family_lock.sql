-- Removals come one after the other: the lock that they share.

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
'The key of the advisory lock on what a family of contexts has said: who begins a compaction shares it, who erases holds it, each before a head is locked
and until the end of the transaction. So no compaction begins with a text that is being erased. Null where there is no such context.';

create or replace function kata_data.hold_families(contexts uuid[]) returns void
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
comment on function kata_data.hold_families(uuid[]) is
'Keeps compactions in the families of some contexts from being begun, until the end of the transaction. The caller keeps other erasures out.';
