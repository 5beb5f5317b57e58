-- Shortens tool results in the view. Only the display changes: messages keep their versions and positions, and an undo shows them whole.
-- plans: writer

create or replace function kata.elide(
  context_id uuid,
  first_version bigint,
  last_version bigint default null,
  keep_tokens integer default 100
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_range int8range;
  v_stubs kata_data.stub[];
begin
  v_head := kata_data.lock_context(context_id);
  v_range := kata_data.check_range(context_id, first_version, last_version, v_head.version);
  if keep_tokens is null or keep_tokens < 0 then
    raise exception using
      errcode = 'KC017',
      message = 'keep_tokens must be a number of tokens that is not negative',
      detail = format('It is %s.', coalesce(keep_tokens::text, 'null')),
      hint = 'Pass how long a result may be, 100 for example.';
  end if;
  v_stubs := kata_data.stubs_for(context_id, kata_data.view_at(context_id, v_head.version), v_head, int8multirange(v_range), keep_tokens);
  if v_stubs = '{}' then
    perform kata_data.refuse_no_change(
      format('No tool result in these versions is in the view, not pinned, and longer than %s tokens.', keep_tokens));
  end if;
  return kata_data.add_change(v_head, kata_data.elision_of(v_stubs), stubs => v_stubs);
end
$$;
comment on function kata.elide(uuid, bigint, bigint, integer) is
'Shortens the tool results of a range in the view.

Each is shown as its beginning and a note where the whole is. Pinned results stay whole.

context_id: the context.
first_version, last_version: the range of versions; last_version null: just the first.
keep_tokens: results longer than this are shortened to about this many tokens.

Returns the version that the elision took. kata.get_message returns the whole result by its version.
Errors: KC001, KC002, KC006, KC017 nothing would change, or too many elisions are in force: shorten more at once, or compact.
Locks: the head of the context. Cost: O(messages in the range).';
