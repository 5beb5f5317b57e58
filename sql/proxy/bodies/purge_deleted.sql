declare
  v_purged record;
  v_contexts uuid[] := '{}';
begin
  for v_purged in select {columns} from {call all} x loop
    v_contexts := v_contexts || v_purged.context_id;
    context_id := v_purged.context_id;
    removed := v_purged.removed;
    kept := v_purged.kept;
    return next;
  end loop;
  if dry_run is false and v_contexts <> '{}' then
    perform from kata_px.forget_names(v_contexts);
  end if;
  return;
end;
