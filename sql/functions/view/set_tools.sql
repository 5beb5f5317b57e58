-- The list of tools that a model may call, as a part of the context: versioned, undone, inherited by forks. A change of it shows and hides
-- nothing. The text is kept once for each tenant, byte for byte, because the order of keys in a schema is part of what a model reads.
--
-- Locks the head before anything is decided.
-- plans: writer

create or replace function kata.set_tools(
  context_id uuid, tools json, token_count integer default null, expected_version bigint default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_view kata_data.view;
  v_content text;
  v_change kata_data.view_change;
begin
  v_head := kata_data.lock_context(context_id);
  perform kata_data.check_expected_version(v_head, expected_version);
  v_content := kata_data.tools_text(tools);
  perform kata_data.check_tools(v_content);
  if token_count < 0 then
    raise exception using
      errcode = 'KC017',
      message = 'token_count must not be negative',
      detail = format('It is %s.', token_count),
      hint = 'Pass the tokens that the tools take, or null for an estimate.';
  end if;
  v_view := kata_data.view_of(context_id, v_head.version, v_head.view_version);
  if sha256(convert_to(v_content, 'UTF8')) is not distinct from v_view.tools_digest
    and (v_content is null or token_count is null or token_count = v_view.tools_tokens) then
    return coalesce(v_view.tools_version, 0);
  end if;
  v_change := kata_data.new_change('tools', '{}');
  if v_content is not null then
    v_change.tools_digest := kata_data.kept_tools(v_head.tenant, v_content);
    v_change.tools_tokens := coalesce(token_count, kata_data.tools_tokens(v_content, v_head.tokenizer));
  end if;
  return kata_data.add_change(v_head, v_change);
end
$$;
comment on function kata.set_tools(uuid, json, integer, bigint) is
'Sets the list of tools that a model may call in a context.

kata.request sends it, and kata.get_tools returns it, byte for byte. Forks inherit it, kata.undo brings the earlier list back, and a
change of it does not conflict with expected_version of others. It breaks the prompt cache and the thinking of a provider from the first
byte on.

context_id: the context. tools: a JSON array of objects, as the provider takes them, at most 1 MB; null or empty for none.
token_count: its tokens in the context''s tokenizer; estimated when null. They come off the budget of a request, and compaction is due
  that much earlier.
expected_version: a version since which no message may have been appended, deleted or amended.

Returns the version since which the list is in force: of this change, or of the earlier one that set the same list with the same count, or
with any where none is given; 0 where none was ever set.
Errors: KC001, KC003 version conflict, KC006, KC017 tools is not an array of objects, or too long, or token_count is negative.
Locks: the head of the context. Cost: O(length + pieces of the view).';
