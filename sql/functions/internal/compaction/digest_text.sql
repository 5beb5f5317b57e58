-- The summary that needs no model. The numbers come first, because models read the beginning best; the user's requests follow word for
-- word; the rest says where to find things. The facts of digests that it absorbs are in their metadata, so nothing is read twice.

create or replace function kata_data.digest_text(compaction kata_data.compaction, out content text, out facts jsonb)
language plpgsql stable
as $$
declare
  v_tokenizer text;
  v_size record;
begin
  select h.tokenizer into strict v_tokenizer from kata_data.head h where h.context_id = compaction.context_id;
  facts := kata_data.digest_facts(compaction);
  -- As much as fits a third of what it replaces: fewer artifacts first, which the index holds anyway, then fewer of the last requests.
  for v_size in
    select s.requests, s.artifacts
    from (values (5, 200), (5, 100), (5, 50), (5, 20), (5, 8), (5, 0), (3, 0), (1, 0)) s(requests, artifacts)
    order by s.requests desc, s.artifacts desc
  loop
    content := kata_data.render_digest(compaction, facts, v_size.requests, v_size.artifacts);
    exit when kata_data.message_tokens(content, null, null, v_tokenizer) <= compaction.source_tokens / 3;
  end loop;
end
$$;
comment on function kata_data.digest_text(kata_data.compaction) is
'The digest of what a compaction covers, made without a model, and the facts in it.

Cost: O(covered).';

create or replace function kata_data.is_gainless_digest(compaction kata_data.compaction) returns boolean
language plpgsql stable
as $$
declare
  v_tokenizer text;
begin
  if compaction.strategy <> 'digest' then
    return false;
  end if;
  select h.tokenizer into strict v_tokenizer from kata_data.head h where h.context_id = compaction.context_id;
  return kata_data.message_tokens((kata_data.digest_text(compaction)).content, null, null, v_tokenizer) >= compaction.source_tokens;
end
$$;
comment on function kata_data.is_gainless_digest(kata_data.compaction) is
'Whether the digest of a compaction would be as long as what it replaces.

It stays the same until there is more to cover; a model may write a shorter one. Cost: O(covered).';
