-- A page of contexts. Filters on metadata are checks of rows that an index has found: row-level security keeps operators that are not
-- leakproof, such as containment, out of index conditions.

create or replace function kata_data.choose_contexts(
  tenant text, after uuid, max_rows integer, include_deleted boolean, metadata jsonb, name_prefix text, order_by text, roots_only boolean
) returns uuid[]
language plpgsql stable
as $$
declare
  v_below uuid := coalesce(after, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_updated timestamptz := 'infinity'::timestamptz;
begin
  if order_by = 'created' and name_prefix is null then
    return kata_data.newest_contexts(tenant, v_below, max_rows, include_deleted, metadata, roots_only);
  end if;
  if order_by = 'created' then
    return array(
      select f.context_id
      from kata_data.matching_contexts(tenant, include_deleted, metadata, name_prefix, roots_only) f
      where f.context_id < v_below
      order by f.context_id desc
      limit max_rows);
  end if;
  if after is not null then
    v_updated := (select r.updated_at from kata_data.context_row r where r.context_id = after);
  end if;
  return array(
    select f.context_id
    from kata_data.matching_contexts(tenant, include_deleted, metadata, name_prefix, roots_only) f
    cross join lateral (select r.updated_at from kata_data.context_row r where r.context_id = f.context_id offset 0) r
    where (r.updated_at, f.context_id) < (v_updated, v_below)
    order by r.updated_at desc, f.context_id desc
    limit max_rows);
end
$$;
comment on function kata_data.choose_contexts(text, uuid, integer, boolean, jsonb, text, text, boolean) is
'The contexts of a page, in its order. tenant: one, or ''*'' for all.';

create or replace function kata_data.newest_contexts(
  tenant text, below uuid, max_rows integer, include_deleted boolean, metadata jsonb, roots_only boolean
) returns uuid[]
language plpgsql stable
as $$
begin
  if tenant = '*' then
    return array(
      select c.context_id from kata_data.context c
      where c.context_id < below and (include_deleted or c.deleted_at is null)
        and (newest_contexts.metadata is null or c.metadata @> newest_contexts.metadata) and (not roots_only or c.parent_id is null)
      order by c.context_id desc limit max_rows);
  elsif include_deleted then
    return array(
      select c.context_id from kata_data.context c
      where c.tenant = newest_contexts.tenant and c.context_id < below
        and (newest_contexts.metadata is null or c.metadata @> newest_contexts.metadata) and (not roots_only or c.parent_id is null)
      order by c.context_id desc limit max_rows);
  end if;
  return array(
    select c.context_id from kata_data.context c
    where c.tenant = newest_contexts.tenant and c.context_id < below and c.deleted_at is null
      and (newest_contexts.metadata is null or c.metadata @> newest_contexts.metadata) and (not roots_only or c.parent_id is null)
    order by c.context_id desc limit max_rows);
end
$$;
comment on function kata_data.newest_contexts(text, uuid, integer, boolean, jsonb, boolean) is
'The newest contexts below an id, newest first. Each case reads its page from one index.';

create or replace function kata_data.matching_contexts(
  tenant text, include_deleted boolean, metadata jsonb, name_prefix text, roots_only boolean
) returns table (context_id uuid)
language plpgsql stable
as $$
declare
  -- The greatest character there is, as often as a name has characters.
  v_last text := name_prefix || repeat(chr(1114111), 255);
begin
  if tenant = '*' or name_prefix is null then
    return query
    select c.context_id from kata_data.context c
    where (matching_contexts.tenant = '*' or c.tenant = matching_contexts.tenant) and (include_deleted or c.deleted_at is null)
      and (name_prefix is null or starts_with(c.name, name_prefix))
      and (matching_contexts.metadata is null or c.metadata @> matching_contexts.metadata) and (not roots_only or c.parent_id is null);
    return;
  end if;
  -- In the order of the index: without statistics the planner would take another one of the tenant.
  return query
  select c.context_id from kata_data.context c
  where c.tenant = matching_contexts.tenant and c.name >= name_prefix and c.name <= v_last and c.deleted_at is null and c.name is not null
    and (matching_contexts.metadata is null or c.metadata @> matching_contexts.metadata) and (not roots_only or c.parent_id is null)
  order by c.name collate "C";
  if include_deleted then
    return query
    select c.context_id from kata_data.context c
    where c.tenant = matching_contexts.tenant and c.name >= name_prefix and c.name <= v_last and c.deleted_at is not null and c.name is not null
      and (matching_contexts.metadata is null or c.metadata @> matching_contexts.metadata) and (not roots_only or c.parent_id is null)
    order by c.name collate "C";
  end if;
end
$$;
comment on function kata_data.matching_contexts(text, boolean, jsonb, text, boolean) is
'All contexts that pass the filters. A name that begins with the prefix is found by a range of an index.';

create or replace function kata_data.contexts_after(tenant text, after uuid, context_id uuid, max_rows bigint) returns setof uuid
language plpgsql stable
as $$
declare
  v_after uuid := coalesce(after, '00000000-0000-0000-0000-000000000000');
begin
  -- As above: each case reads its page from one index.
  if context_id is not null then
    return query select contexts_after.context_id where contexts_after.context_id > v_after;
  elsif tenant = '*' then
    return query
    select c.context_id from kata_data.context c where c.context_id > v_after order by c.context_id limit max_rows;
  else
    return query
    select c.context_id from kata_data.context c
    where c.tenant = contexts_after.tenant and c.context_id > v_after
    order by c.tenant, c.context_id limit max_rows;
  end if;
end
$$;
comment on function kata_data.contexts_after(text, uuid, uuid, bigint) is
'The contexts of a tenant, * for all, above an id, oldest first, deleted ones included; or one alone. max_rows: null for all.';
