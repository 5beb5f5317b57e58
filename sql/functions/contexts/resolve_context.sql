-- Resolves what a person types to an id. Precedence: an id, which a name may look like; the name of a live context; on request the
-- name of a deleted one; the beginning of an id. Two rows show whether a name or a beginning is unique; each look-up reads an index
-- that holds only what it asks for, which is why the branches repeat their query.

create or replace function kata.resolve_context(selector text, include_deleted boolean default false) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text := kata_data.current_tenant();
  v_digits text := lower(replace(selector, '-', ''));
  v_first uuid;
  v_last uuid;
  v_context_id uuid;
  v_found uuid[];
begin
  if v_digits ~ '^[0-9a-f]{1,32}$' then
    v_first := rpad(v_digits, 32, '0');
    v_last := rpad(v_digits, 32, 'f');
    -- Hyphens stand where an id has them, or nowhere.
    if lower(selector) not in (v_digits, left(v_first::text, length(selector))) then
      v_first := null;
    end if;
  end if;
  if v_first = v_last then
    select c.context_id into v_context_id
    from kata_data.context c
    where c.context_id = v_first
      and v_tenant in (c.tenant, '*');
    if found then
      return v_context_id;
    end if;
  end if;

  v_context_id := kata_data.live_context(v_tenant, selector);
  if v_context_id is not null then
    return v_context_id;
  end if;

  if include_deleted then
    v_found := array(
      select c.context_id from kata_data.context c
      where c.tenant = v_tenant and c.name = selector and c.deleted_at is not null
      order by c.context_id desc limit 2);
    if cardinality(v_found) = 1 then
      return v_found[1];
    end if;
    if cardinality(v_found) = 2 then
      raise exception using
        errcode = 'KC017',
        message = format('several deleted contexts have the name "%s"', selector),
        detail = format('The two newest are %s and %s.', v_found[1], v_found[2]),
        hint = 'Pass the id.';
    end if;
  end if;

  if v_tenant = '*' then
    v_found := array(
      select c.context_id from kata_data.context c
      where c.context_id between v_first and v_last and (include_deleted or c.deleted_at is null)
      order by c.context_id limit 2);
  elsif include_deleted then
    v_found := array(
      select c.context_id from kata_data.context c
      where c.tenant = v_tenant and c.context_id between v_first and v_last
      order by c.context_id limit 2);
  else
    v_found := array(
      select c.context_id from kata_data.context c
      where c.tenant = v_tenant and c.context_id between v_first and v_last and c.deleted_at is null
      order by c.context_id limit 2);
  end if;
  if cardinality(v_found) = 1 then
    return v_found[1];
  end if;
  if cardinality(v_found) = 2 then
    raise exception using
      errcode = 'KC017',
      message = format('several contexts have ids that begin with "%s"', selector),
      detail = format('Two of them are %s and %s.', v_found[1], v_found[2]),
      hint = 'Pass more of the id, or the name.';
  end if;
  raise exception using
    errcode = 'KC001',
    message = format('context "%s" not found', coalesce(left(selector, 255), 'null')),
    detail = format('Tenant "%s" has no %scontext of this id or name, nor one whose id begins so.', v_tenant,
      case when include_deleted then '' else 'live ' end),
    hint = 'List what there is with kata.list_contexts.';
end
$$;
comment on function kata.resolve_context(text, boolean) is
'Finds the context with an id, a name, or a unique beginning of an id.

selector: an id, which finds a deleted context, too; or the name of a live context; or at least one digit of an id, hyphens as in an
  id or none.
include_deleted: also accept the name, or the beginning of the id, of a deleted context. A live context of the name goes first.

Returns the id.
Errors: KC001 no such context, KC017 several deleted contexts have the name, or several ids the beginning. Cost: O(log contexts).';
