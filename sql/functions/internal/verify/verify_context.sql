-- All that is verified of one context. Of a purged one the log is not: what its forks read of it is part of their paths.

create or replace function kata_data.verify_context(context_id uuid, is_purged boolean) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query select f.version, f.problem, f.detail from kata_data.verify_lineage(context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_compactions(context_id) f;
  if is_purged then
    return query select f.version, f.problem, f.detail from kata_data.verify_purged(context_id) f;
  else
    return query select f.version, f.problem, f.detail from kata_data.verify_log(context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_ids(context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_due(context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_marks(context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_artifacts(context_id) f;
  end if;
  return query select f.version, f.problem, f.detail from kata_data.verify_search(context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_embeddings(context_id) f;
end
$$;
comment on function kata_data.verify_context(uuid, boolean) is 'Damage in a context and in what points at its versions.';
