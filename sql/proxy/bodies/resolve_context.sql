-- The order is that of a shard: an id, a live name, then the beginning of an id or a deleted name, on all shards.
declare
  v_shard integer;
  v_found uuid[] := '{}';
  v_id uuid;
begin
  if pg_catalog.regexp_replace(selector, '-', '', 'g') ~* '^[0-9a-f]{32}$' then
    begin
      return kata_px.resolve_context(kata_proxy.who(), kata_proxy.shard_of(selector::uuid), selector, include_deleted);
    exception
      when sqlstate 'KC001' then null;
    end;
  end if;
  v_id := kata_proxy.find_name(selector);
  if v_id is not null then
    return v_id;
  end if;
  for v_shard in select s.shard from kata_proxy.shards() s(shard) loop
    begin
      v_found := v_found || kata_px.resolve_context(kata_proxy.who(), v_shard, selector, include_deleted);
    exception
      when sqlstate 'KC001' then
        -- It is the answer if no shard has one.
        if v_found = '{}' and v_shard = (select max(s.shard) from kata_proxy.shards() s(shard)) then
          raise;
        end if;
    end;
  end loop;
  if cardinality(v_found) > 1 then
    raise exception using
      errcode = 'KC017',
      message = format('several contexts match "%s"', selector),
      detail = format('Two of them are %s and %s.', v_found[1], v_found[2]),
      hint = 'Pass the id.';
  end if;
  return v_found[1];
end;
