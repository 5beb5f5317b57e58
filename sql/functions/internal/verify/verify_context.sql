-- All that is verified of one context. Of a purged one the log is not: what its forks read of it is part of their paths.

create or replace function kata_data.verify_context(context kata_data.context) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query select f.version, f.problem, f.detail from kata_data.verify_bucket(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_lineage(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_acts(context) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_compactions(context.context_id) f;
  if context.purged_at is not null then
    return query select f.version, f.problem, f.detail from kata_data.verify_purged(context.context_id) f;
  else
    return query select f.version, f.problem, f.detail from kata_data.verify_log(context.context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_ids(context.context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_due(context.context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_marks(context.context_id) f;
    return query select f.version, f.problem, f.detail from kata_data.verify_artifacts(context.context_id) f;
  end if;
  return query select f.version, f.problem, f.detail from kata_data.verify_requests(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_search(context.context_id) f;
  return query select f.version, f.problem, f.detail from kata_data.verify_embeddings(context.context_id) f;
end
$$;
comment on function kata_data.verify_context(kata_data.context) is 'Damage in a context and in what points at its versions.';
