-- The acts of a context are a chain, and agree with the tables. Content that an erasure or a purge removed is not compared; the act that
-- removed it is. An erasure reaches copies in other families, which an import need not have brought: an act of a context that is not here is
-- not missed. Contexts are looked up by a query of one value each: EXISTS may become a join with all contexts.

create or replace function kata_data.verify_acts(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query select f.version, f.problem, f.detail from kata_data.verify_act_chain(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_act_removals(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_acts_of_state(context) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_acts_of_checkpoints(context) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_acts_of_compactions(context) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_receipts(context) f;
end
$$;
comment on function kata_data.verify_acts(kata_data.context) is
'Damage in the acts of a context, and where the tables disagree with them. Cost: O(acts + checkpoints + compactions + receipts).';

create or replace function kata_data.verify_act_chain(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select null::bigint, a.problem, a.detail
  from (
    select a.number, f.problem, f.detail
    from (
      select a as act, a.number, lag(a.number, 1, 0::bigint) over w as number_before,
        lag(a.digest, 1, kata_data.first_digest(a.context_id)) over w as digest_before
      from kata_data.act a
      where a.context_id = verify_act_chain.context_id
      window w as (order by a.number)
    ) a
    cross join lateral (
      select 'act gone' as problem, format('Acts %s to %s are missing.', a.number_before + 1, a.number - 1) as detail
      where a.number <> a.number_before + 1
      union all
      select 'act digest', format('Act %s, or the digest before it, was changed.', a.number)
      where (a.act).digest is distinct from kata_data.act_digest(a.digest_before, a.act)
        or octet_length((a.act).salt) <> 16
        or octet_length((a.act).content_digest) <> 32
    ) f
  ) a
  order by a.number;
  if not exists (select from kata_data.act a where a.context_id = verify_act_chain.context_id) then
    return next row(null, 'act gone', 'The context has no act of its creation.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_act_chain(uuid) is 'Gaps and changes in the chain of acts of a context.';

create or replace function kata_data.verify_act_removals(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select null::bigint, 'act content', format('The content of act %s is gone, and no erasure or purge removed it.', a.number)
  from kata_data.act a
  left join kata_data.act r on r.context_id = a.act_context_id and r.number = a.act_number
  where a.context_id = verify_act_removals.context_id
    and a.content_digest is not null
    and (case r.kind
      when 'purge' then r.context_id = a.context_id
      when 'erase' then r.facts -> 'acts' @> jsonb_build_array(jsonb_build_array(a.context_id, a.number))
    end) is not true
    and (select true from kata_data.context c where c.context_id = a.act_context_id)
  order by a.number;
end
$$;
comment on function kata_data.verify_act_removals(uuid) is 'Acts of a context whose content is gone without an act that removed it.';

create or replace function kata_data.verify_acts_of_state(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_first kata_data.act;
  v_last record;
begin
  v_first := (select a from kata_data.act a where a.context_id = context.context_id order by a.number limit 1);
  -- A fork has tenant and tokenizer of its parent, which verify_parent compares.
  if (v_first.kind, v_first.facts ->> 'tenant', v_first.facts ->> 'tokenizer', v_first.facts ->> 'parent', v_first.facts ->> 'version')
    is distinct from (
      case when context.parent_id is null then 'create' else 'fork' end, case when context.parent_id is null then context.tenant end,
      case when context.parent_id is null then context.tokenizer end, context.parent_id::text, context.fork_version::text) then
    return next kata_data.differs(null, 'act',
      concat_ws(', ', 'tenant ' || context.tenant, 'tokenizer ' || context.tokenizer, 'fork of ' || context.parent_id, 'at ' || context.fork_version),
      concat_ws(', ', v_first.kind, v_first.facts::text));
  end if;
  if v_first.kind = 'fork' and encode(kata_data.digest_at(context.context_id, context.fork_version), 'hex') <> v_first.facts ->> 'digest' then
    return next row(context.fork_version, 'act', 'The digest at the fork is not that of the act of the fork.')::kata_data.finding;
  end if;
  select
    (array_agg(a.content order by a.number desc) filter (where a.kind in ('create', 'fork', 'rename')))[1] ->> 'name' as name,
    coalesce((array_agg(a.content -> 'policy' order by a.number desc) filter (where a.kind in ('create', 'fork', 'policy')))[1], '{}')
      as policy,
    (array_agg(case a.kind when 'archive' then a.acted_at end order by a.number desc) filter (where a.kind in ('archive', 'unarchive')))[1]
      as archived_at,
    (array_agg(case a.kind when 'delete' then a.acted_at end order by a.number desc) filter (where a.kind in ('delete', 'restore')))[1]
      as deleted_at,
    max(a.acted_at) filter (where a.kind = 'purge') as purged_at
  into v_last
  from kata_data.act a
  where a.context_id = context.context_id;
  if (context.archived_at, context.deleted_at, context.purged_at)
    is distinct from (v_last.archived_at, v_last.deleted_at, v_last.purged_at)
    or context.purged_at is null and (context.name, context.policy) is distinct from (v_last.name, v_last.policy) then
    return next kata_data.differs(null, 'act',
      kata_data.state_text(context.name, context.policy, context.archived_at, context.deleted_at, context.purged_at),
      kata_data.state_text(v_last.name, v_last.policy, v_last.archived_at, v_last.deleted_at, v_last.purged_at));
  end if;
end
$$;
comment on function kata_data.verify_acts_of_state(kata_data.context) is
'Where the row of a context is not as its acts left it: origin, name, policy, state. Of a purged one name and policy are gone.';

create or replace function kata_data.state_text(
  name text, policy jsonb, archived_at timestamptz, deleted_at timestamptz, purged_at timestamptz
) returns text
language sql stable
as $$
  select concat_ws(', ', 'name ' || left(name, 100), 'policy ' || left(policy::text, 500), 'archived at ' || archived_at,
    'deleted at ' || deleted_at, 'purged at ' || purged_at)
$$;
comment on function kata_data.state_text(text, jsonb, timestamptz, timestamptz, timestamptz) is 'Name, policy and state of a context, in words.';

create or replace function kata_data.digest_at(context_id uuid, version bigint) returns bytea
language plpgsql stable
as $$
begin
  if version = 0 then
    return (select kata_data.first_digest(c.family_id) from kata_data.context c where c.context_id = digest_at.context_id);
  end if;
  return coalesce(
    (
      select m.digest
      from kata_data.segments(digest_at.context_id, digest_at.version, digest_at.version) s
      cross join lateral (
        select m.digest from kata_data.message m where m.segment_id = s.segment_id and m.version = digest_at.version offset 0
      ) m
      limit 1),
    (
      select v.digest
      from kata_data.segments(digest_at.context_id, digest_at.version, digest_at.version) s
      cross join lateral (
        select v.digest from kata_data.view_change v where v.segment_id = s.segment_id and v.version = digest_at.version offset 0
      ) v
      limit 1));
end
$$;
comment on function kata_data.digest_at(uuid, bigint) is
'The digest of a path as of a version; null where the entry is not there. Cost: O(log n).';

create or replace function kata_data.verify_acts_of_checkpoints(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  with made as (
    -- The last act about each name; one whose note was erased has no name any more.
    select distinct on (coalesce(a.content ->> 'name', a.number::text))
      a.kind, a.content ->> 'name' as name, (a.facts ->> 'version')::bigint as version, a.content ->> 'note' as note, a.acted_at
    from kata_data.act a
    where a.context_id = context.context_id
      and a.kind in ('checkpoint', 'drop')
    order by coalesce(a.content ->> 'name', a.number::text), a.number desc
  ),
  stands as (
    select m.name, m.version, m.note, m.acted_at from made m where m.kind = 'checkpoint'
  ),
  checkpoint as (
    select k.name, k.version, k.note, k.created_at from kata_data.checkpoint k where k.context_id = context.context_id
  )
  select k.version, 'act', format('Checkpoint "%s" is not as an act made it.', left(k.name, 100))
  from checkpoint k
  where not exists (
    select from stands s
    where (s.version, s.acted_at) = (k.version, k.created_at)
      and (s.name is null or (s.name, s.note) is not distinct from (k.name, k.note)))
  union all
  select s.version, 'act', format('Checkpoint "%s" is gone, and no act dropped it.', left(s.name, 100))
  from stands s
  where s.name is not null
    and context.purged_at is null
    and not exists (select from checkpoint k where k.name = s.name);
end
$$;
comment on function kata_data.verify_acts_of_checkpoints(kata_data.context) is
'Where the checkpoints of a context are not those that its acts made and did not drop. A purge drops them.';

create or replace function kata_data.verify_acts_of_compactions(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  with ended as (
    select a.number, a.facts, a.content, a.acted_at
    from kata_data.act a
    where a.context_id = context.context_id
      and a.kind = 'compaction'
  )
  select c.summary_version, 'act', format('Compaction %s is not as an act ended it.', c.compaction_id)
  from kata_data.compaction c
  cross join lateral kata_data.facts_of(c) f
  where c.context_id = context.context_id
    and c.status <> 'running'
    and case when c.act_number is null
      then not exists (
        select from ended e
        where (e.facts, e.acted_at) = (f.facts, c.finished_at)
          and coalesce(e.content, f.content) = f.content)
      -- An erasure ended it, and its act names it.
      else not exists (
        select from kata_data.act a
        where (a.context_id, a.number, a.kind, a.acted_at) = (c.act_context_id, c.act_number, 'erase', c.finished_at)
          and c.status = 'aborted'
          and a.facts -> 'ended' ? c.compaction_id::text)
        and (select true from kata_data.context o where o.context_id = c.act_context_id)
    end
  union all
  select (e.facts ->> 'summary_version')::bigint, 'act', format('Compaction %s is gone.', e.facts ->> 'compaction_id')
  from ended e
  where context.purged_at is null
    and not exists (
      select from kata_data.compaction c
      where c.compaction_id = (e.facts ->> 'compaction_id')::uuid
        and c.context_id = context.context_id);
end
$$;
comment on function kata_data.verify_acts_of_compactions(kata_data.context) is
'Where the ended compactions of a context are not as its acts say. A purge removes some.';

create or replace function kata_data.verify_receipts(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select e.version, 'receipt', 'No act recorded this erasure.'
  from kata_data.erasure e
  where e.segment_id = context.context_id
    and not exists (
      select from kata_data.act a
      where (a.context_id, a.number, a.kind) = (e.act_context_id, e.act_number, 'erase')
        and (a.acted_by, a.acted_at) = (e.erased_by, e.erased_at)
        and a.facts -> 'entries' @> jsonb_build_array(
          jsonb_build_array(e.segment_id, e.version, e.what, encode(e.content_digest, 'hex')))
        and coalesce(a.content ->> 'reason', e.reason) = e.reason)
    and (select true from kata_data.context c where c.context_id = e.act_context_id)
  order by e.version;
  -- The purge of the context that wrote the entry removes the receipt.
  return query
  select (n.entry ->> 1)::bigint, 'receipt', format('The receipt of an erasure in context %s is gone.', n.entry ->> 0)
  from kata_data.act a
  cross join lateral jsonb_array_elements(a.facts -> 'entries') n(entry)
  where a.context_id = context.context_id
    and a.kind = 'erase'
    and not exists (
      select from kata_data.erasure e where e.segment_id = (n.entry ->> 0)::uuid and e.version = (n.entry ->> 1)::bigint)
    and (select c.purged_at is null from kata_data.context c where c.context_id = (n.entry ->> 0)::uuid);
  return query
  select null::bigint, 'receipt', format('The receipts of the purge are %s, and its act says %s.', r.receipts, coalesce(r.cuts, '[]'))
  from (
    select (
        select jsonb_agg(jsonb_build_array(p.context_id, p.removed, p.kept) order by p.context_id)
        from kata_data.purge p
        where p.cause_id = context.context_id
          and p.purged_at = context.purged_at
          and p.purged_by = a.acted_by) as receipts,
      (select jsonb_agg(c.cut order by c.cut) from jsonb_array_elements(a.facts -> 'cuts') c(cut)) as cuts
    from (select context.purged_at as at) s
    left join kata_data.act a on a.context_id = context.context_id and a.kind = 'purge'
  ) r
  where r.receipts is distinct from r.cuts;
  return query
  select null::bigint, 'receipt', format('A receipt says that the purge of context %s removed something, and no act does.', p.cause_id)
  from kata_data.purge p
  where p.context_id = context.context_id
    and not exists (
      select from kata_data.act a
      where a.context_id = p.cause_id
        and a.kind = 'purge'
        and a.acted_at = p.purged_at
        and a.facts -> 'cuts' @> jsonb_build_array(jsonb_build_array(p.context_id, p.removed, p.kept)));
end
$$;
comment on function kata_data.verify_receipts(kata_data.context) is
'Where the receipts of erasures and purges are not as the acts that made them say.';
