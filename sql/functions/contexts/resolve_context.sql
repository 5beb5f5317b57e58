-- Resolves what a person types to an id. Precedence: an id, which a name may look like; the name of a live context; the beginning of an
-- id and, on request, the name of a deleted context, which must not lead to two contexts. Two rows show whether each is unique.
-- plans: lookup

create or replace function kata.resolve_context(selector text, include_deleted boolean default false) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
  v_range record;
  v_context_id uuid;
  v_deleted uuid[];
  v_found uuid[];
begin
  v_tenant := kata_data.current_tenant();
  v_range := kata_data.id_range(selector);
  if v_range.first_id = v_range.last_id
    and exists (select from kata_data.context c where c.context_id = v_range.first_id and v_tenant in (c.tenant, '*')) then
    return v_range.first_id;
  end if;
  v_context_id := kata_data.live_context(v_tenant, selector);
  if v_context_id is not null then
    return v_context_id;
  end if;

  v_found := kata_data.contexts_between(v_tenant, v_range.first_id, v_range.last_id, include_deleted);
  if include_deleted then
    v_deleted := kata_data.deleted_contexts(v_tenant, selector);
    v_found := v_deleted || array_remove(v_found, v_deleted[1]);
  end if;
  if cardinality(v_found) > 1 then
    raise exception using
      errcode = 'KC017',
      message = format('several contexts match "%s"', selector),
      detail = format('Two of them are %s and %s.', v_found[1], v_found[2]),
      hint = 'Pass the id.';
  end if;
  if cardinality(v_found) = 0 then
    raise exception using
      errcode = 'KC001',
      message = format('context "%s" not found', coalesce(left(selector, 255), 'null')),
      detail = format('Tenant "%s" has no %scontext of this id or name, nor one whose id begins so.', v_tenant,
        case when include_deleted then '' else 'live ' end),
      hint = 'List what there is with kata.list_contexts.';
  end if;
  return v_found[1];
end
$$;
comment on function kata.resolve_context(text, boolean) is
'Finds the context with an id, a name, or a unique beginning of an id.

selector: an id, which finds a deleted context, too; or the name of a live context; or at least one digit of an id, hyphens as in an
  id or none.
include_deleted: also accept the name, or the beginning of the id, of a deleted context. A live context of that name goes first.

Returns the id.
Errors: KC001 no such context, KC017 several match: as deleted contexts of that name, or by the beginning of their ids.
Cost: O(log contexts).';

create or replace function kata_data.id_range(selector text, out first_id uuid, out last_id uuid)
language plpgsql immutable
as $$
declare
  v_digits text := lower(replace(selector, '-', '') collate kata_data.c_utf8);
begin
  if v_digits ~ '^[0-9a-f]{1,32}$' then
    first_id := rpad(v_digits, 32, '0')::uuid;
    last_id := rpad(v_digits, 32, 'f')::uuid;
    -- Hyphens are where an id has them, or nowhere.
    if lower(selector collate kata_data.c_utf8) not in (v_digits, left(first_id::text, length(selector))) then
      first_id := null;
      last_id := null;
    end if;
  end if;
end
$$;
comment on function kata_data.id_range(text) is
'The ids that begin with a selector, from the first to the last; the same one twice for a whole id, nulls for what cannot begin an id.';

create or replace function kata_data.deleted_contexts(tenant text, name text) returns uuid[]
language plpgsql stable
as $$
begin
  return array(
    select c.context_id
    from kata_data.context c
    where c.tenant = deleted_contexts.tenant
      and c.name = deleted_contexts.name
      and c.deleted_at is not null
    order by c.context_id desc
    limit 2);
end
$$;
comment on function kata_data.deleted_contexts(text, text) is 'The newest two of a tenant''s deleted contexts of a name.';

create or replace function kata_data.contexts_between(tenant text, first_id uuid, last_id uuid, include_deleted boolean) returns uuid[]
language plpgsql stable
as $$
begin
  -- Each case reads an index that holds only what it asks for, which is why the branches repeat their query.
  if tenant = '*' then
    return array(
      select c.context_id from kata_data.context c
      where c.context_id between first_id and last_id and (include_deleted or c.deleted_at is null)
      order by c.context_id limit 2);
  elsif include_deleted then
    return array(
      select c.context_id from kata_data.context c
      where c.tenant = contexts_between.tenant and c.context_id between first_id and last_id
      order by c.context_id limit 2);
  end if;
  return array(
    select c.context_id from kata_data.context c
    where c.tenant = contexts_between.tenant and c.context_id between first_id and last_id and c.deleted_at is null
    order by c.context_id limit 2);
end
$$;
comment on function kata_data.contexts_between(text, uuid, uuid, boolean) is
'The first two of a tenant''s contexts in a range of ids; of all tenants where tenant is ''*''.';
